"""DRF's throttles on top of ``limits``: one count for each kind of request and client network."""

from typing import Any

import structlog
from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from web.accounts import limits
from web.clients import client_network

log = structlog.get_logger("web.security")

LARGE = 16 * 1024  # bytes


class ClientThrottle(BaseThrottle):
    """Limits requests of one client network; ``scope`` names the setting THROTTLE_<SCOPE>."""

    scope: str
    field = "network"  # of the log, for whoever is limited

    def __init__(self) -> None:
        self._wait = 0.0

    def allow_request(self, request: HttpRequest | Request, view: Any) -> bool:
        """Count the request."""
        rate = getattr(settings, f"THROTTLE_{self.scope.upper()}")
        use = self.count(self.scope, self.who(request), rate, self.amount(request))
        self._wait = use.wait
        if not use.allowed:
            log.warning("limited", scope=self.scope, **{self.field: self.who(request)})
        return use.allowed

    def count(self, *arguments: Any) -> limits.Use:
        """Count it in the database."""
        return limits.consume(*arguments)

    def who(self, request: HttpRequest | Request) -> str:
        """Return the name under which the request is counted."""
        return client_network(request)

    def amount(self, request: HttpRequest | Request) -> int:
        """Return the number of requests that this one counts for."""
        return 1

    def wait(self) -> float:
        """Seconds until the next request is allowed, for Retry-After."""
        return self._wait


class RegistrationThrottle(ClientThrottle):
    """Each registration costs a password hash and perhaps a mail."""

    scope = "registration"


class SubmissionThrottle(ClientThrottle):
    """Limits what a user may store: a submission counts once for each 16 KiB that it begins.

    One of several jobs counts at least once for each of them.
    """

    scope = "submission"
    field = "user"

    def __init__(self, jobs: int = 1) -> None:
        super().__init__()
        self._jobs = jobs

    def count(self, *arguments: Any) -> limits.Use:
        """Count it, with some uses taken in advance."""
        return limits.advance.consume(*arguments)

    def who(self, request: HttpRequest | Request) -> str:
        """Return the user's id, for requests from all networks."""
        return str(request.user.pk)

    def amount(self, request: HttpRequest | Request) -> int:
        """Count by Content-Length. ProblemMiddleware has refused bodies in chunks."""
        return max(self._jobs, -(-int(request.META.get("CONTENT_LENGTH") or 0) // LARGE))


class SignInThrottle(ClientThrottle):
    """Each sign-in costs a password hash."""

    scope = "sign_in"


class VerificationThrottle(ClientThrottle):
    """Limits how many keys a client network can try."""

    scope = "verification"
