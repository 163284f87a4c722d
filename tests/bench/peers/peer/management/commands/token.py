"""Makes a user, and prints a token of theirs."""

from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand
from rest_framework_simplejwt.tokens import AccessToken


class Command(BaseCommand):
    """Prints nothing else."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the user, if there is none."""
        user, _ = get_user_model().objects.get_or_create(username="ada")
        token = AccessToken.for_user(user)
        token.set_exp(lifetime=timedelta(hours=1))
        self.stdout.write(str(token))
