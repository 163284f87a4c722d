"""JSON Schemas of Python types, in the form that clients read."""

import json
from typing import Any

import msgspec

DIALECT = "https://json-schema.org/draft/2020-12/schema"
INT_OR_FLOAT = [{"type": "integer"}, {"type": "number"}]


def of(python_type: Any) -> dict[str, Any]:
    """Make a JSON Schema without references to the outside, with the type's own schema on top.

    Raises TypeError if JSON has no form for the type.
    """
    schema = msgspec.json.schema(python_type)
    definitions = schema.pop("$defs", {})
    top = schema.pop("$ref", "").removeprefix("#/$defs/")
    schema |= definitions.get(top, {})
    if f'"#/$defs/{top}"' not in json.dumps(definitions):
        definitions.pop(top, None)  # only a recursive type still refers to it
    whole = {"$schema": DIALECT} | schema | ({"$defs": definitions} if definitions else {})
    simplified: dict[str, Any] = _simplify(whole)
    return simplified


def _simplify(schema: Any) -> Any:
    """Say "number" where msgspec says "integer or number", which keeps error messages plain."""
    match schema:
        case {"anyOf": choices, **rest} if choices == INT_OR_FLOAT:
            return {"type": "number"} | rest
        case dict():
            return {name: _simplify(value) for name, value in schema.items()}
        case list():
            return [_simplify(value) for value in schema]
    return schema
