"""What workers announce beside results: each app registers for what it cares about."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec


@dataclass(frozen=True)
class Announcement:
    """One kind of announcement.

    Args:
        content: what a message of this kind is decoded to.
        check: raises MalformedMessageError for what would be of no use.
        apply: takes it over, in the collector's transaction.
    """

    content: type
    check: Callable[[Any], None]
    apply: Callable[[Any], None]


_announcements: dict[str, Announcement] = {}


def register(routing_key: str, announcement: Announcement) -> None:
    """Ask for all messages of a routing key."""
    _announcements[routing_key] = announcement


def decoded(routing_key: str, body: bytes) -> Callable[[], None] | None:
    """Return what takes a message over, or None if nobody has asked for its kind.

    Raises msgspec's DecodeError and MalformedMessageError.
    """
    announcement = _announcements.get(routing_key)
    if announcement is None:
        return None
    content: Any = msgspec.json.decode(body, type=announcement.content)
    announcement.check(content)
    return partial(announcement.apply, content)
