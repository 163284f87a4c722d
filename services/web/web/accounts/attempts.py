"""Failed sign-ins, counted by address and client network together, and by address alone.

The first limit stops guessing from one network. The second, far higher one stops guessing from many
networks. With it anybody could lock an owner out, so it does not count networks from which the
account has signed in before.
"""

from datetime import timedelta

from django.conf import settings
from django.db.models.functions import Now

from web.accounts import limits
from web.accounts.models import KnownNetwork, User

REMEMBERED = timedelta(days=180)
NOTED_AGAIN_AFTER = timedelta(days=1)


class TooManyFailuresError(Exception):
    """Another attempt is allowed after ``wait`` seconds."""

    def __init__(self, wait: float) -> None:
        super().__init__()
        self.wait = wait


def account(email: str) -> dict[str, str]:
    """Return fields for the log: the account's id, or a digest of an address without an account."""
    key = User.objects.filter(email=email).values_list("pk", flat=True).first()
    return {"user": str(key)} if key else {"address_digest": limits.digest(email)}


class Attempt:
    """One attempt to sign in, which counts as a failure until it has succeeded."""

    def __init__(self, email: str, network: str) -> None:
        """Count the attempt.

        Args:
            email: the address in its one spelling, or the text that was typed.
            network: of the client.

        Raises TooManyFailuresError if one of the limits is reached.
        """
        who = f"{email} {network}"
        self._key = limits.digest(who)
        self._known = KnownNetwork.objects.filter(key=self._key).first()
        self._uses = [limits.consume("sign_in_failures", who, settings.THROTTLE_SIGN_IN_FAILURES)]
        if self._known is None and self._uses[0].allowed:
            rate = settings.THROTTLE_SIGN_IN_FAILURES_ADDRESS
            self._uses.append(limits.consume("sign_in_failures_address", email, rate))
        if refused := [use for use in self._uses if not use.allowed]:
            raise TooManyFailuresError(refused[0].wait)

    def succeed(self) -> None:
        """Take the count back, and remember the network from which the account signs in."""
        limits.refund(self._uses)
        if self._known is None:
            KnownNetwork.objects.filter(seen_at__lt=Now() - REMEMBERED).delete()
        if self._known is None or self._known.is_older_than(NOTED_AGAIN_AFTER):
            KnownNetwork.objects.update_or_create(key=self._key, defaults={"seen_at": Now()})
