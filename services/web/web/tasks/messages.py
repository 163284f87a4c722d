"""The message of a task, as its row keeps it: it may have to be sent more than once."""

from json import loads  # msgspec refuses halves of surrogate pairs
from typing import Any

import msgspec


class StoredMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The message for the relay. ``body`` is JSON: arguments, keyword arguments, and options."""

    routing_key: str
    headers: dict[str, Any]
    properties: dict[str, Any]
    body: str
    sent_event: dict[str, Any] | None = None

    def encode(self) -> bytes:
        """Encode it for its row."""
        return msgspec.json.encode(self)

    @classmethod
    def of(cls, stored: bytes | memoryview | None) -> "StoredMessage":
        """Decode what a row has stored. Raises msgspec's DecodeError if there is no message."""
        return msgspec.json.decode(stored or b"", type=cls)

    @property
    def arguments(self) -> list[Any]:
        """Arguments by position."""
        args, _kwargs, _options = loads(self.body)
        return list(args)

    @property
    def kwargs(self) -> dict[str, Any]:
        """Arguments by name."""
        _args, kwargs, _options = loads(self.body)
        return dict(kwargs)

    @property
    def options(self) -> dict[str, Any]:
        """Signatures of the tasks that follow: ``chain``, ``chord``, ``callbacks``, …"""
        _args, _kwargs, options = loads(self.body)
        return dict(options)
