"""Users, their registrations, and the counts by which requests and sign-ins are limited."""

import uuid
from datetime import timedelta
from typing import Any

from allauth.account.models import EmailAddress
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models, transaction
from django.db.models.functions import Collate, Lower, Now
from django.utils import timezone

from contracts.addresses import LONGEST, canonical
from web.accounts.addresses import AddressColumn, spelling


def has_verified_address() -> models.Exists:
    """Return the condition that the address of a user is verified."""
    return models.Exists(
        EmailAddress.objects.filter(
            user=models.OuterRef("pk"), email=models.OuterRef("email"), verified=True
        )
    )


class UserManager(BaseUserManager["User"]):
    """Makes users whose login is their e-mail address."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Make a user whose address is not verified. Raises InvalidAddressError."""
        user = self.model(email=canonical(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Make an operator. The address counts as verified, since an operator has typed it."""
        with transaction.atomic(using=self._db):
            user = self.create_user(email, password, is_staff=True, is_superuser=True, **fields)
            EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
        return user

    def with_verified_address(self) -> "models.QuerySet[User]":
        """Select the accounts that may sign in."""
        return self.filter(has_verified_address(), is_active=True)

    def get_by_natural_key(self, username: str | None) -> "User":
        """Find a user by address, in any spelling."""
        return self.get(email=spelling(username or ""))


class User(AbstractBaseUser, PermissionsMixin):
    """A person with an account. allauth's EmailAddress says whether the address is verified."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = AddressColumn("e-mail address", max_length=LONGEST)
    is_staff = models.BooleanField(
        "staff", default=False, help_text="May enter the administration."
    )
    is_active = models.BooleanField("active", default=True, help_text="May sign in.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"

    class Meta:
        # An address has one spelling. Of its rules the database checks lower case, for ASCII only.
        constraints = [
            models.UniqueConstraint(fields=["email"], name="user_email"),
            models.CheckConstraint(
                condition=models.Q(email=Lower(Collate("email", "C"))), name="user_email_lower_case"
            ),
        ]

    def __str__(self) -> str:
        return self.email

    def clean(self) -> None:
        """Bring the address to its one spelling."""
        self.email = spelling(self.email)


class Registrations(models.QuerySet["Registration"]):
    """Queries for registrations."""

    def valid(self) -> "Registrations":
        """Select registrations whose keys have not expired."""
        return self.filter(created_at__gt=Now() - Registration.VALID_FOR)

    def forget_some(self) -> None:
        """Delete up to 20 whose keys have expired. Each new registration calls this."""
        ended = self.filter(created_at__lte=Now() - Registration.VALID_FOR)
        chosen = ended.order_by("created_at").select_for_update(skip_locked=True)[:20]
        self.filter(pk__in=chosen.values("pk")).delete()


class Registration(models.Model):
    """Address and password of a person who has registered, before the address is verified.

    There may be several of one address. Each has a key and a code of its own, which make the
    account with the id and password of this registration. ``mail`` is the latest about it.
    """

    VALID_FOR = timedelta(days=3)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = AddressColumn("e-mail address", max_length=LONGEST, db_index=True)
    password = models.CharField(max_length=128)
    mail = models.ForeignKey("mail.Email", null=True, on_delete=models.SET_NULL, related_name="+")
    code = models.CharField(max_length=64, blank=True, db_default="")  # a digest
    code_made_at = models.DateTimeField(null=True)
    code_attempts = models.PositiveSmallIntegerField(db_default=0)
    created_at = models.DateTimeField(db_default=Now(), editable=False, db_index=True)

    objects = Registrations.as_manager()

    def __str__(self) -> str:
        return str(self.id)


class Session(models.Model):
    """What one sign-in through the API has opened (see ``web.accounts.sessions``).

    ``token`` is the one refresh token that can be exchanged; ``previous`` was exchanged for it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    token = models.UUIDField(default=uuid.uuid4)
    previous = models.UUIDField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    used_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)
    network = models.CharField(max_length=64)
    agent = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        verbose_name = "session of the API"
        verbose_name_plural = "sessions of the API"

    def __str__(self) -> str:
        return str(self.id)


class RateUsage(models.Model):
    """How often something was done in the current window of its rate (see ``limits``).

    The table is unlogged, so that counting costs no disk sync. A crash of the database empties it,
    which only begins the windows anew.
    """

    key = models.CharField(max_length=120, primary_key=True)
    uses = models.PositiveIntegerField()
    ends_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = "rate usage"

    def __str__(self) -> str:
        return self.key


class KnownNetwork(models.Model):
    """A network from which an account has signed in; ``key`` is a digest of both."""

    key = models.CharField(max_length=64, primary_key=True)
    seen_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.key

    def is_older_than(self, age: timedelta) -> bool:
        """Whether the last noted sign-in from there is older than ``age``."""
        return self.seen_at < timezone.now() - age
