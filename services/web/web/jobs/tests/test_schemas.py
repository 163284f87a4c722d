from typing import Any

import pytest

from web.jobs import schemas

UNRESOLVABLE = {"$ref": "#/$defs/missing"}  # raises when it is looked at


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"items": UNRESOLVABLE, "maxItems": 2}, [1, 2, 3]),
        ({"prefixItems": [UNRESOLVABLE], "maxItems": 2}, [1, 2, 3]),
        ({"contains": UNRESOLVABLE, "maxItems": 2}, [1, 2, 3]),
        ({"uniqueItems": True, "maxItems": 2}, [1, 1, 1]),
        ({"unevaluatedItems": UNRESOLVABLE, "maxItems": 2}, [1, 2, 3]),
        ({"properties": {"x": UNRESOLVABLE}, "maxProperties": 1}, {"x": 1, "y": 1}),
        ({"patternProperties": {"x": UNRESOLVABLE}, "maxProperties": 1}, {"x": 1, "y": 1}),
        ({"additionalProperties": UNRESOLVABLE, "maxProperties": 1}, {"x": 1, "y": 1}),
        ({"propertyNames": UNRESOLVABLE, "maxProperties": 1}, {"x": 1, "y": 1}),
        ({"unevaluatedProperties": UNRESOLVABLE, "maxProperties": 1}, {"x": 1, "y": 1}),
        ({"pattern": "^(a+)+$", "maxLength": 30}, "a" * 60 + "!"),  # for longer than anyone lives
    ],
)
def test_nothing_looks_into_what_is_too_long(schema: dict[str, Any], value: Any) -> None:
    [error] = schemas.validator(schema).iter_errors(value)
    assert error.validator in {"maxItems", "maxProperties", "maxLength"}


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        ({"items": {"type": "number"}, "maxItems": 2}, [1, 2], [1, ""]),
        ({"properties": {"x": {"type": "number"}}, "maxProperties": 1}, {"x": 1}, {"x": ""}),
        ({"pattern": "^a+$", "maxLength": 2}, "aa", "ab"),
        ({"items": {"type": "number"}}, [1, 2, 3], [1, 2, ""]),
        ({"maxItems": 2}, {"x": 1, "y": 2, "z": 3}, [1, 2, 3]),
    ],
)
def test_what_is_no_longer_than_allowed_is_looked_into(
    schema: dict[str, Any], right: Any, wrong: Any
) -> None:
    assert schemas.validator(schema).is_valid(right)
    assert not schemas.validator(schema).is_valid(wrong)
