"""Users, and how often somebody has lately done what may not be done too often."""

import uuid
from typing import Any

from allauth.account.models import EmailAddress
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models, transaction
from django.db.models.functions import Lower, Now


class UserManager(BaseUserManager["User"]):
    """Makes users whose login is their e-mail address."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Make a user whose address is not verified."""
        user = self.model(email=email.lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Make an operator, whose address counts as verified: whoever ran the command knows it."""
        with transaction.atomic(using=self._db):
            user = self.create_user(email, password, is_staff=True, is_superuser=True, **fields)
            EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
        return user

    def get_by_natural_key(self, username: str | None) -> "User":
        """Find a user by address, in any case."""
        return self.get(email=(username or "").lower())


class User(AbstractBaseUser, PermissionsMixin):
    """Somebody who registered. Whether the address is verified stands in allauth's EmailAddress."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField("e-mail address", max_length=254)
    is_staff = models.BooleanField(
        "staff", default=False, help_text="May enter the administration."
    )
    is_active = models.BooleanField("active", default=True, help_text="May sign in.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"

    class Meta:
        # Lower case only: so equality, which an index serves, ignores the case, as allauth does.
        constraints = [
            models.UniqueConstraint(fields=["email"], name="user_email"),
            models.CheckConstraint(
                condition=models.Q(email=Lower("email")), name="user_email_lower_case"
            ),
        ]

    def __str__(self) -> str:
        return self.email

    def clean(self) -> None:
        """Keep the address in lower case."""
        self.email = self.email.lower()


class RateUsage(models.Model):
    """How often something was done in the current window of its rate (see ``limits``).

    The table is unlogged: losing it in a crash of the database costs nothing but a fresh window,
    and counting costs no disk sync.
    """

    key = models.CharField(max_length=120, primary_key=True)
    uses = models.PositiveIntegerField()
    ends_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = "rate usage"

    def __str__(self) -> str:
        return self.key
