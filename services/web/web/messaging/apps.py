"""The outbox, the relay, the collector and the dead letters."""

from django.apps import AppConfig


class MessagingConfig(AppConfig):
    """Registered as ``messaging``."""

    name = "web.messaging"
    label = "messaging"
