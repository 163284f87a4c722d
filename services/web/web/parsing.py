"""JSON bodies, with everything refused that is JSON but can be neither stored nor sent on."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

DEEPEST = 100  # levels
# What a NUL has to look like in JSON, or may look like: then all strings are looked at.
NUL = b"\\u0000"


class StrictJSONParser(JSONParser):
    """A parser whose results can be stored, at a cost that grows with the body's length alone.

    A NUL would only fail when the database refuses it, and an endless nesting when Python does:
    each as an error of ours.
    """

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        """Parse the body. Raises ParseError."""
        body = stream.read()
        try:
            data = msgspec.json.decode(body)
            for level in levels(data):
                if NUL in body and any("\0" in value for value in _strings(level)):
                    raise ParseError("JSON parse error - a string contains the NUL character")
        except RecursionError as error:
            raise ParseError("JSON parse error - nested too deeply") from error
        except (msgspec.DecodeError, ValueError) as error:
            raise ParseError(f"JSON parse error - {error}") from error
        return data


def levels(document: Any) -> Iterator[list[Any]]:
    """Yield the values of a JSON document level by level.

    Raises RecursionError if it is nested more deeply than ``DEEPEST``: what reads it later may
    have less room on its stack.
    """
    level = [document]
    for _ in range(DEEPEST + 1):
        yield level
        containers = [value for value in level if type(value) in (dict, list)]
        if not containers:
            return
        level = [entry for value in containers for entry in _entries(value)]
    raise RecursionError("nested too deeply")


def _entries(container: Any) -> Iterable[Any]:
    return container.values() if type(container) is dict else container


def _strings(level: list[Any]) -> Iterable[str]:
    for value in level:
        if type(value) is str:
            yield value
        elif type(value) is dict:
            yield from value
