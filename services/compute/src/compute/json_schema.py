"""JSON Schemas of Python types, in the form that clients read."""

import json
from typing import Any

import msgspec

DIALECT = "https://json-schema.org/draft/2020-12/schema"
INT_OR_FLOAT = [{"type": "integer"}, {"type": "number"}]


def of(python_type: Any) -> dict[str, Any]:
    """Make a JSON Schema that needs nothing outside of itself, with its object at the top.

    Raises TypeError if JSON has nothing like the type.
    """
    schema = msgspec.json.schema(python_type)
    definitions = schema.pop("$defs", {})
    top = schema.pop("$ref", "").removeprefix("#/$defs/")
    schema |= definitions.get(top, {})
    if f'"#/$defs/{top}"' not in json.dumps(definitions):
        definitions.pop(top, None)  # stays only if it contains itself
    whole = {"$schema": DIALECT} | schema | ({"$defs": definitions} if definitions else {})
    simplified: dict[str, Any] = _simplify(whole)
    return simplified


def _simplify(schema: Any) -> Any:
    """Say "number" where msgspec says "integer or number", so that refusals are plain too."""
    match schema:
        case {"anyOf": choices, **rest} if choices == INT_OR_FLOAT:
            return {"type": "number"} | rest
        case dict():
            return {name: _simplify(value) for name, value in schema.items()}
        case list():
            return [_simplify(value) for value in schema]
    return schema
