"""People for tests."""

from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from django.contrib.auth.models import Permission
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import RefreshToken

from web.accounts.models import User

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


def key_for(user: User) -> str:
    """Make the key that a verification mail to the user would hold."""
    key: str = EmailConfirmationHMAC(EmailAddress.objects.get(user=user)).key
    return key


def client_of(user: User) -> APIClient:
    """Make a client that sends a real access token."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {RefreshToken.for_user(user).access_token}")
    return client
