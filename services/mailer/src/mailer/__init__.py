"""Renders and sends Warren's mail: a Celery worker without Django."""
