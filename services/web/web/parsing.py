"""JSON bodies, with everything refused that is JSON to Python but not to PostgreSQL."""

import math
from collections.abc import Iterator
from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

DEEPEST = 100  # levels


class StrictJSONParser(JSONParser):
    """DRF's parser, made sure that what it returns can be stored.

    A NUL, half of a surrogate pair or a number beyond a float's range would only fail when the
    database refuses it, and an endless nesting when Python does: each as an error of ours.
    """

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        """Parse the body. Raises ParseError."""
        try:
            data = super().parse(stream, media_type, parser_context)
        except RecursionError as error:
            raise ParseError("JSON parse error - nested too deeply") from error
        for value in _scalars(data, DEEPEST):
            if problem := _problem(value):
                raise ParseError(f"JSON parse error - {problem}")
        return data


def _scalars(value: Any, levels: int) -> Iterator[Any]:
    if not isinstance(value, (dict, list)):
        yield value
        return
    if levels == 0:
        raise ParseError("JSON parse error - nested too deeply")
    if isinstance(value, dict):
        yield from value
        value = value.values()
    for entry in value:
        yield from _scalars(entry, levels - 1)


def _problem(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "a number is too large"
    if isinstance(value, str):
        if "\0" in value:
            return "a string contains the NUL character"
        try:
            value.encode()
        except UnicodeEncodeError:
            return "a string contains half of a surrogate pair"
    return ""
