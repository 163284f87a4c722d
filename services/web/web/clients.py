"""The network by which a client's requests are counted."""

import ipaddress
import re
from typing import cast

from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

IPV6_NETWORK = 64  # bits: one customer has a /64, and can use any address in it
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052
BRACKETED = re.compile(r"\[([0-9A-Fa-f:.%]+)\](?::\d+)?")
WITH_PORT = re.compile(r"(\d+\.\d+\.\d+\.\d+):\d+")


def network(address: str | None) -> str:
    """Return the network that counts as one client: an IPv4 address, or the /64 of an IPv6 one.

    Some proxies append the port, and some write IPv4 as IPv6. All texts that are not a valid
    address count as one client, ``unknown``.
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
    """Return the network of the client that sent a request, behind the trusted proxies."""
    return network(BaseThrottle().get_ident(cast("Request", request)))
