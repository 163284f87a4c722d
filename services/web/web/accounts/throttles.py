"""DRF's throttles over ``limits``: one count per kind of request and client address."""

import ipaddress
import re
from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from web.accounts import limits

LARGE = 16 * 1024  # bytes
IPV6_NETWORK = 64  # bits: what one customer has, and can take any number of addresses from
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052
BRACKETED = re.compile(r"\[([0-9A-Fa-f:.%]+)\](?::\d+)?")
WITH_PORT = re.compile(r"(\d+\.\d+\.\d+\.\d+):\d+")


class ClientThrottle(BaseThrottle):
    """Limits requests of one client address; ``scope`` names the setting THROTTLE_<SCOPE>."""

    scope: str

    def __init__(self) -> None:
        self._wait = 0.0

    def allow_request(self, request: HttpRequest | Request, view: Any) -> bool:
        """Count the request."""
        rate = getattr(settings, f"THROTTLE_{self.scope.upper()}")
        use = limits.consume(self.scope, self.who(request), rate, self.amount(request))
        self._wait = use.wait
        return use.allowed

    def who(self, request: HttpRequest | Request) -> str:
        """Name whose requests are counted together."""
        return client_network(request)

    def amount(self, request: HttpRequest | Request) -> int:
        """Return for how many the request counts."""
        return 1

    def wait(self) -> float:
        """Seconds until the next request is allowed, for Retry-After."""
        return self._wait


class RegistrationThrottle(ClientThrottle):
    """Each registration costs a password hash and perhaps a mail."""

    scope = "registration"


class SubmissionThrottle(ClientThrottle):
    """What a user submits stays: each request counts once for each 16 KiB that it begins."""

    scope = "submission"

    def who(self, request: HttpRequest | Request) -> str:
        """Name the user, from wherever the requests come."""
        return str(request.user.pk)

    def amount(self, request: HttpRequest | Request) -> int:
        """Count the body, which the middleware has seen to be of its length."""
        return 1 + int(request.META.get("CONTENT_LENGTH") or 0) // LARGE


class SignInThrottle(ClientThrottle):
    """Each sign-in costs a password hash."""

    scope = "sign_in"


class VerificationThrottle(ClientThrottle):
    """Nobody tries keys for long."""

    scope = "verification"


def network(address: str | None) -> str:
    """Return the network that counts as one client: an IPv4 address, or the /64 of an IPv6 one.

    Some proxies append the port; some write IPv4 as IPv6. What is no address counts as one client.
    """
    text = (address or "").strip()
    if bracketed := BRACKETED.fullmatch(text) or WITH_PORT.fullmatch(text):
        text = bracketed[1]
    try:
        ip = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in NAT64:
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        elif ip.ipv4_mapped is None:
            return str(ipaddress.ip_network((ip, IPV6_NETWORK), strict=False))
        else:
            ip = ip.ipv4_mapped
    return str(ip)


def client_network(request: HttpRequest | Request) -> str:
    """Return the network of whoever sent a request, past the proxies that are trusted."""
    return network(BaseThrottle().get_ident(cast("Request", request)))
