"""Lets py-amqp read every message, because anybody may have published it.

py-amqp decodes a message's properties while it reads the connection. Text that is not UTF-8, a time
after the year 9999 or an endless nesting raise an error there. No code has the message yet, so none
can reject it, and RabbitMQ delivers it again. One such message would stop a process for good.
"""

import struct
from typing import Any

import amqp
from amqp import abstract_channel, method_framing
from amqp.exceptions import FrameSyntaxError
from amqp.serialization import loads

# The only header of a message with unreadable properties; its value is the name of the error.
UNREADABLE = "unreadable"
# OSError: from the C library, for a year that is not a 32-bit number.
ERRORS = (ValueError, ArithmeticError, RecursionError, LookupError, TypeError, OSError,
          struct.error, FrameSyntaxError)  # fmt: skip
# Parts of py-amqp that its stubs leave out.
_Message: Any = amqp.Message
_framing: Any = method_framing
_channel: Any = abstract_channel


class LenientBytes(bytes):
    """Bytes that can always be decoded, in whole and in part."""

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        return LenientBytes(part) if isinstance(part, bytes) else part

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Decode; bytes that are not UTF-8 become escapes such as ``\\xff``."""
        return super().decode("utf-8", "backslashreplace")


class TolerantMessage(_Message):  # type: ignore[misc]  # of Any
    """A message that loads whatever its properties; UNREADABLE replaces those beyond decoding."""

    def _load_properties(self, class_id: int, buf: bytes, offset: int) -> int:
        problem = ""
        for readable in (buf, LenientBytes(buf)):
            try:
                end: int = super()._load_properties(class_id, readable, offset)
            except ERRORS as error:
                problem = type(error).__name__
            else:
                return end
        self.properties = {"application_headers": {UNREADABLE: problem}}
        return len(buf)


def read_anything() -> None:
    """Make py-amqp read what it cannot decode, in all connections of this process."""
    _framing.Message = TolerantMessage
    _channel.loads = _loads


def _loads(form: str, buf: bytes, offset: int) -> Any:
    try:
        return loads(form, buf, offset)
    except UnicodeDecodeError:  # a routing key
        return loads(form, LenientBytes(buf), offset)
