"""Accounts: registration, verification of the address, sign-in."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Registered as ``accounts``."""

    name = "web.accounts"
    label = "accounts"

    def ready(self) -> None:
        """Listen to allauth's signals."""
        from web.accounts import signals  # noqa: F401 -- the models are loaded only now
