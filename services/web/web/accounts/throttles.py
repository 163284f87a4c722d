"""DRF's throttles over ``limits``: one count per kind of request and client address."""

import ipaddress
from typing import Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from web.accounts import limits

IPV6_NETWORK = 64  # bits: what one customer has, and can take any number of addresses from


class ClientThrottle(BaseThrottle):
    """Limits requests of one client address; ``scope`` names the setting THROTTLE_<SCOPE>."""

    scope: str

    def __init__(self) -> None:
        self._wait = 0.0

    def allow_request(self, request: Request, view: Any) -> bool:
        """Count the request."""
        rate = getattr(settings, f"THROTTLE_{self.scope.upper()}")
        use = limits.consume(self.scope, network(self.get_ident(request)), rate)
        self._wait = use.wait
        return use.allowed

    def wait(self) -> float:
        """Seconds until the next request is allowed, for Retry-After."""
        return self._wait


class RegistrationThrottle(ClientThrottle):
    """Each registration costs a password hash and perhaps a mail."""

    scope = "registration"


class SignInThrottle(ClientThrottle):
    """Each sign-in costs a password hash."""

    scope = "sign_in"


class VerificationThrottle(ClientThrottle):
    """Nobody tries keys for long."""

    scope = "verification"


def network(address: str | None) -> str:
    """Return the address itself, or the network that an IPv6 address belongs to."""
    try:
        ip = ipaddress.ip_address(address or "")
    except ValueError:
        return address or "unknown"
    if ip.version == 4:
        return str(ip)
    return str(ipaddress.ip_network((ip, IPV6_NETWORK), strict=False))
