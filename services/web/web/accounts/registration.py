"""Registration that tells nobody whether an address is known."""

from dataclasses import dataclass, field

from allauth.account import signals
from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from allauth.account.utils import setup_user_email
from django.db import transaction
from django.http import HttpRequest

from web.accounts import mails
from web.accounts.models import User


@dataclass(frozen=True)
class SignUp:
    """A request to register in the form in which allauth's adapter takes it."""

    email: str
    password: str = field(repr=False)
    cleaned_data: dict[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cleaned_data", {"email": self.email, "password1": self.password})


def register(request: HttpRequest, email: str, password: str) -> None:
    """Register an address: the user, the mail's row and its message in one transaction.

    A known address gets a mail that says so. One that is not yet verified gets a fresh link, and
    the password of its latest registration, so that nobody can lay an account in wait for the
    address's owner with a password that only the layer knows.
    """
    adapter = get_adapter(request)
    # The password is hashed before the transaction, which so stays short, and for a known address
    # too, so that the time of the answer tells nothing.
    user = adapter.save_user(
        request, adapter.new_user(request), SignUp(email, password), commit=False
    )
    with transaction.atomic():
        known = _insert(user)
        if known is None:
            _welcome_in(request, user)
        elif address := _pending_address(known):
            known.password = user.password
            known.save(update_fields=["password"])
            mails.send_verification(request, address, signup=True)
        else:
            mails.send_account_exists(request, known)


def _insert(user: User) -> User | None:
    """Save the user, or return the one who has the address already; never fails in a race."""
    User.objects.bulk_create([user], ignore_conflicts=True)
    owner = User.objects.select_for_update().get(email=user.email)
    return None if owner.pk == user.pk else owner


def _welcome_in(request: HttpRequest, user: User) -> None:
    address = setup_user_email(request, user, [])
    signals.user_signed_up.send(sender=User, request=request, user=user)
    mails.send_verification(request, address, signup=True)


def _pending_address(user: User) -> EmailAddress | None:
    # Never that of an operator: a new password would open the administration, which does not ask
    # whether the address is verified.
    if user.is_staff or not user.is_active:
        return None
    return EmailAddress.objects.filter(user=user, email=user.email, verified=False).first()
