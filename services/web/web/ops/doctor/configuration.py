"""Settings that can be read but are wrong. A setting that cannot be read ends every command."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from web.ops.doctor.finding import Finding, problem, warn, well

LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def look_at_settings() -> Iterator[Finding]:
    """Judge the settings with which this process was started."""
    troubles = [*_host(), *(_production() if settings.IN_PRODUCTION else ())]
    yield from troubles
    if not troubles:
        stage = "production" if settings.IN_PRODUCTION else "development: secrets may be examples"
        yield well(f"{stage}; web is at {settings.PUBLIC_URL}")


def _host() -> Iterator[Finding]:
    host, _ = split_domain_port(urlsplit(settings.PUBLIC_URL).netloc)  # IPv6 in its brackets
    if not validate_host(host, settings.ALLOWED_HOSTS):
        yield problem(
            f"web refuses requests to its own address: {host} is not in ALLOWED_HOSTS",
            f"ALLOWED_HOSTS={','.join([host, *settings.ALLOWED_HOSTS])}",
        )


def _production() -> Iterator[Finding]:
    if settings.DEBUG:
        yield problem("DJANGO_DEBUG is on: errors show settings and code", "DJANGO_DEBUG=false")
    if not settings.HTTPS and urlsplit(settings.PUBLIC_URL).hostname not in LOOPBACK:
        yield warn(
            "PUBLIC_URL is no https: passwords and tokens can be read on their way",
            "give the proxy a certificate: docs/operations.md#production",
        )
