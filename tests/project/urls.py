from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.core.signals import request_started
from django.dispatch import receiver
from django.http import HttpResponse
from django.urls import path

from django_future_celery.admin import ScheduledJobInline, chunks
from tests.shop.models import Order

# One chunk a request: a long action is then one of a few hundred jobs.
chunks.SECONDS = 0


@receiver(request_started)
def forget_content_types(**options):
    """Another test has others."""
    ContentType.objects.clear_cache()


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    inlines = [ScheduledJobInline]


urlpatterns = [
    path("admin/", admin.site.urls),
    # Browsers ask for it, and complain if there is none.
    path("favicon.ico", lambda request: HttpResponse(status=204)),
]
