"""Accounts: registration, verification of the address, sign-in."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Registered as ``accounts``."""

    name = "web.accounts"
    label = "accounts"
