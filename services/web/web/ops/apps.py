"""Ops: the doctor, health checks, figures for Prometheus, and the deletion of old rows."""

from django.apps import AppConfig


class OpsConfig(AppConfig):
    """Registered as ``ops``."""

    name = "web.ops"
    label = "ops"
