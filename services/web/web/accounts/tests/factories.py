"""People for tests."""

import re
from typing import Any

from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Permission
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from web.accounts import sessions
from web.accounts.models import Registration, User
from web.mail.models import Email

SAVEPOINT = re.compile('"s[0-9_x]+"')
PASSWORD = "correct horse battery"


def make_user(
    email: str = "ada@example.org", *, verified: bool = True, staff: bool = False
) -> User:
    user = User.objects.create_user(email=email, password=PASSWORD, is_staff=staff)
    EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=verified)
    return user


def permit(user: User, *codenames: str) -> User:
    """Give a user permissions, named as in ``change_user``."""
    permissions = Permission.objects.filter(codename__in=codenames)
    assert len(permissions) == len(codenames)
    user.user_permissions.add(*permissions)
    return user


def make_registration(email: str = "ada@example.org", password: str = PASSWORD) -> Registration:
    """Make one whose mail has been sent before."""
    return Registration.objects.create(email=email, password=make_password(password))


def mailed_keys(email: str = "ada@example.org") -> list[str]:
    """Return the keys that were mailed to an address, in their order."""
    mails = Email.objects.filter(recipient=email, template="verify_email").order_by("created_at")
    return [mail.context["verification_key"] for mail in mails if mail.context]


def shapes(queries: CaptureQueriesContext) -> list[str]:
    """Return the first words of each statement: what is done, and to which table."""
    return [
        " ".join(word for word in query["sql"].split()[:3] if not SAVEPOINT.fullmatch(word))
        for query in queries.captured_queries
    ]


def client_of(user: User) -> APIClient:
    """Make a client that sends a real access token."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {access_token(user)}")
    return client


def access_token(user: User) -> AccessToken:
    """Sign a user in."""
    return sessions.access(sessions.begin(user, "127.0.0.1"))


def sign_in(email: str = "ada@example.org", password: str = PASSWORD) -> Any:
    return APIClient().post("/api/v1/auth/token", {"email": email, "password": password})


def sign_in_to_the_administration(
    email: str, password: str = PASSWORD, network: str = "127.0.0.1"
) -> int:
    form = {"username": email, "password": password}
    return Client(REMOTE_ADDR=network).post("/admin/login/", form).status_code
