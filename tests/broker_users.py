"""The users of infra/rabbitmq/definitions.json on the test run's broker: one for each process."""

import json
import secrets
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from local.broker_node import BrokerSettings

from .management import RIGHTS, Management
from .process import CHECKOUT

DEFINITIONS = CHECKOUT / "infra/rabbitmq/definitions.json"
PROPERTIES = ("type", "durable", "auto_delete", "internal", "arguments")


def create(settings: BrokerSettings, management: Management, vhost: str) -> dict[str, str]:
    """Make the users with their permissions in a vhost; the answer is each one's AMQP address."""
    definitions = json.loads(DEFINITIONS.read_text())
    addresses, place = {}, quote(vhost, safe="")
    suffix = secrets.token_hex(4)  # users belong to the whole broker, not to a vhost
    for user in definitions["users"]:
        name, password = f"{user['name']}.{suffix}", secrets.token_urlsafe(16)
        management.put(f"users/{name}", {"password": password, "tags": ",".join(user["tags"])})
        addresses[user["name"]] = replace(settings, user=name, password=password).url(vhost)
    for exchange in definitions["exchanges"]:  # which the topic permissions below need
        properties = {name: exchange[name] for name in PROPERTIES}
        management.put(f"exchanges/{place}/{exchange['name']}", properties)
    for grant in definitions["permissions"]:
        rights = {right: grant[right] for right in RIGHTS}
        management.put(f"permissions/{place}/{grant['user']}.{suffix}", rights)
    for grant in definitions["topic_permissions"]:
        topics = {name: grant[name] for name in ("exchange", "write", "read")}
        management.put(f"topic-permissions/{place}/{grant['user']}.{suffix}", topics)
    return addresses


def accounts(management: Management) -> dict[str, Any]:
    """Take down all users, with hashed passwords, and what they may do in the vhost."""
    definitions = management.get("definitions")
    found = {
        part: [each for each in definitions[part] if each["vhost"] == management.vhost]
        for part in ("exchanges", "permissions", "topic_permissions")
    }
    restricted = {grant["exchange"] for grant in found["topic_permissions"]}
    found["exchanges"] = [each for each in found["exchanges"] if each["name"] in restricted]
    return {"users": definitions["users"], **found}


def restore(management: Management, known: dict[str, Any]) -> None:
    """Give them to a node that has lost them, as its definitions do at deployment."""
    management.post("definitions", known)
