"""Bodies in JSON. Values that could not be stored or sent on are refused."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec
from rest_framework import serializers
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.parsers import JSONParser

from web.nesting import levels

# JSON always writes a NUL like this. The bytes may also belong to an escaped backslash, so only a
# search through all strings can tell.
NUL = b"\\u0000"


class StrictJSONParser(JSONParser):
    """A parser whose results can be stored, at a cost that grows with the body's length alone.

    Without it PostgreSQL would refuse a NUL later, and Python a deep nesting. The client would get
    a 500 for both.
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


class RequestSerializer(serializers.Serializer[Any]):
    """The fields of a body. An unknown field is refused, for it may be a known one misspelt."""

    def to_internal_value(self, data: Any) -> Any:
        """Take the body. Raises ValidationError."""
        names = (
            [name for name in data if name not in self.fields] if isinstance(data, Mapping) else []
        )
        message = f"There is no such field; there is {', '.join(self.fields)}."
        errors = {name: [serializers.ErrorDetail(message, "unknown")] for name in names}
        try:
            values = super().to_internal_value(data)
        except ValidationError as error:
            raise ValidationError(cast("dict[str, Any]", error.detail) | errors) from error
        if errors:
            raise ValidationError(errors)
        return values


def _strings(level: list[Any]) -> Iterable[str]:
    for value in level:
        if type(value) is str:
            yield value
        elif type(value) is dict:
            yield from value
