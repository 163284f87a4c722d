"""The users of infra/rabbitmq/definitions.json on the test run's broker: one for each process."""

import json
import secrets
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from local.servers.broker_node import BrokerSettings

from .management import RIGHTS, Management
from .process import CHECKOUT

DEFINITIONS = CHECKOUT / "infra/rabbitmq/definitions.json"


def create(settings: BrokerSettings, management: Management, vhost: str) -> dict[str, str]:
    """Make the users with their permissions in a vhost; the answer is each one's AMQP address."""
    definitions = json.loads(DEFINITIONS.read_text())
    addresses, place = {}, quote(vhost, safe="")
    suffix = secrets.token_hex(4)  # users belong to the whole broker, not to a vhost
    for user in definitions["users"]:
        name, password = f"{user['name']}.{suffix}", secrets.token_urlsafe(16)
        management.put(f"users/{name}", {"password": password, "tags": ",".join(user["tags"])})
        addresses[user["name"]] = replace(settings, user=name, password=password).url(vhost)
    for grant in definitions["permissions"]:
        rights = {right: grant[right] for right in RIGHTS}
        management.put(f"permissions/{place}/{grant['user']}.{suffix}", rights)
    return addresses


def accounts(management: Management) -> dict[str, Any]:
    """Take down all users, with hashed passwords, and what they may do in the vhost."""
    definitions = management.get("definitions")
    granted = [each for each in definitions["permissions"] if each["vhost"] == management.vhost]
    return {"users": definitions["users"], "permissions": granted}


def restore(management: Management, known: dict[str, Any]) -> None:
    """Give them to a node that has lost them, as its definitions do at deployment."""
    management.post("definitions", known)
