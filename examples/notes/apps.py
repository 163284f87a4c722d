"""The app, as Django finds it."""

from django.apps import AppConfig


class NotesConfig(AppConfig):
    """In web's INSTALLED_APPS by ``EXTRA_APPS=notes``."""

    name = "notes"
