from django.contrib import admin

from .models import Reminder


@admin.register(Reminder)
class ReminderAdmin(admin.ModelAdmin):
    list_display = ["text", "recipient", "created_at", "delivered_at"]
    readonly_fields = ["created_at", "delivered_at"]
    search_fields = ["text", "recipient"]
