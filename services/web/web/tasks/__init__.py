"""Celery's API over the outbox: web's own tasks, and those of the contracts; one row each."""
