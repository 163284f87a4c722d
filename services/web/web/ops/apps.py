"""Ops: what operators and supervisors look at."""

from django.apps import AppConfig


class OpsConfig(AppConfig):
    """Registered as ``ops``."""

    name = "web.ops"
    label = "ops"
