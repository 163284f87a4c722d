"""Announcements of workers. Each app registers for the kinds that it handles."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec


@dataclass(frozen=True)
class Announcement:
    """One kind of announcement.

    Args:
        content: the type as which the message's body is decoded.
        check: raises MalformedMessageError if the content cannot be used.
        apply: stores the content, in the collector's transaction.
    """

    content: type
    check: Callable[[Any], None]
    apply: Callable[[Any], None]


_announcements: dict[str, Announcement] = {}


def register(routing_key: str, announcement: Announcement) -> None:
    """Have all messages of a routing key decoded, checked and applied."""
    _announcements[routing_key] = announcement


def decoded(routing_key: str, body: bytes) -> Callable[[], None] | None:
    """Return a function that applies the message, or None if no app has registered for its kind.

    Raises msgspec's DecodeError and MalformedMessageError.
    """
    announcement = _announcements.get(routing_key)
    if announcement is None:
        return None
    content: Any = msgspec.json.decode(body, type=announcement.content)
    announcement.check(content)
    return partial(announcement.apply, content)
