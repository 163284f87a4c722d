"""The faults, a module for each kind; importing this package registers them all."""

from tests.faults.acts import (
    broker_limits,
    crashes,
    mail_servers,
    moments,
    network,
    operations,
    outages,
    poison,
    resources,
)

__all__ = [
    "broker_limits",
    "crashes",
    "mail_servers",
    "moments",
    "network",
    "operations",
    "outages",
    "poison",
    "resources",
]
