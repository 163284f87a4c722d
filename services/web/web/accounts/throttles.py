"""DRF's throttles over ``limits``: one count per kind of request and client address."""

import ipaddress
import re
from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from web.accounts import limits

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
        use = limits.consume(self.scope, client_network(request), rate)
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
