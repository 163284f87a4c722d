"""JSON Schemas (2020-12) that come from elsewhere: nothing is fetched, and lengths go first."""

from collections.abc import Callable, Iterator
from typing import Any

from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

INVALID = (SchemaError, Unresolvable)  # what `check` raises
NOTHING_ELSE: Registry[Any] = Registry()  # a reference to another address fetches nothing
LONGEST: dict[type, str] = {list: "maxItems", dict: "maxProperties", str: "maxLength"}
# What looks into a value, and so takes the longer the more there is.
INSIDE = (
    *("items", "prefixItems", "contains", "uniqueItems", "unevaluatedItems"),
    *("properties", "patternProperties", "additionalProperties", "propertyNames"),
    *("unevaluatedProperties", "pattern"),
)
Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError]]


def check(schema: Any) -> None:
    """Raise SchemaError or Unresolvable if it is not valid, or refers to another document."""
    Draft202012Validator.check_schema(schema)
    resolver = NOTHING_ELSE.with_resource("", DRAFT202012.create_resource(schema)).resolver()
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            for keyword in ("$ref", "$dynamicRef"):
                if isinstance(reference := value.get(keyword), str):
                    resolver.lookup(reference)
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def validator(schema: Any) -> Validator:
    """Make a validator that does not look into what is too long."""
    return _LengthsFirst(schema, registry=NOTHING_ELSE)


def _unless_too_long(keyword: Keyword) -> Keyword:
    def validate(
        validator: Any, value: Any, instance: Any, schema: Any
    ) -> Iterator[ValidationError]:
        most = schema.get(LONGEST.get(type(instance), ""))
        if most is None or len(instance) <= most:
            yield from keyword(validator, value, instance, schema) or ()

    return validate


_extend: Any = validators.extend  # it has no types
_LengthsFirst = _extend(
    Draft202012Validator,
    {name: _unless_too_long(Draft202012Validator.VALIDATORS[name]) for name in INSIDE},
)
