"""What ``manage.py demo`` is made of; nothing that a project of your own needs."""
