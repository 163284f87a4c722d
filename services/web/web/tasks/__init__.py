"""Celery's API over the outbox, for web's own tasks and those of the contracts."""
