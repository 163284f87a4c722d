"""A function becomes a computation: arguments checked, every ending an answer."""

import math
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import numpy as np
import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from jsonschema import Draft202012Validator
from msgspec import Meta

from compute.declaration import MARK, Declaration, computation
from compute.definition import Definition, DefinitionError
from compute.limits import LONGEST_TIME_LIMIT, Limits
from contracts.errors import PermanentError, TransientError

DEFAULTS = Limits(soft_time_limit=300, time_limit=310, memory_limit=512)


def define(function: Callable[..., Any]) -> Definition:
    declared = computation(function)
    return Definition(declared, getattr(declared, MARK), DEFAULTS)


def scale(
    values: Annotated[list[int | float], Meta(min_length=1)],
    factor: Annotated[int, Meta(ge=0, le=10)] = 2,
) -> list[int | float]:
    """Scale numbers."""
    return [value * factor for value in values]


def returning(result: Any, hint: Any = Any) -> Definition:
    def give() -> Any:
        """Give."""
        return result

    give.__annotations__["return"] = hint
    return define(give)


def raising(error: BaseException) -> Definition:
    def fail() -> int:
        """Fail."""
        raise error

    return define(fail)


def refusal(run: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(PermanentError) as caught:
        run()
    return caught.value.kind, caught.value.message


def test_runs_with_checked_arguments_and_defaults() -> None:
    assert define(scale).run({"values": [1, 2.5]}) == [2, 5.0]
    assert define(scale).run({"values": [1], "factor": 10}) == [10]


@pytest.mark.parametrize(
    ("arguments", "field", "rule"),
    [
        ({}, "`values`", "missing required field"),
        ({"values": [1], "extra": 1}, "`extra`", "unknown field"),
        ({"values": []}, "`$.values`", "length >= 1"),
        ({"values": [1, "2"]}, "`$.values[1]`", "got `str`"),
        ({"values": [True]}, "`$.values[0]`", "got `bool`"),
        ({"values": [1], "factor": 11}, "`$.factor`", "<= 10"),
        ({"values": [1], "factor": 1.5}, "`$.factor`", "got `float`"),
        ({"values": [math.nan]}, "`$.values[0]`", "not a finite number"),
        ({"values": [1, math.inf]}, "`$.values[1]`", "not a finite number"),
        ({"values": [10**1000]}, "`$.values[0]`", "more than 1000 digits"),
        ([1, 2], "scale", "Expected `object`"),
        ("x", "scale", "Expected `object`"),
    ],
)
def test_wrong_arguments_are_refused_by_field_and_rule(
    arguments: Any, field: str, rule: str
) -> None:
    kind, message = refusal(lambda: define(scale).run(arguments))

    assert kind == "InvalidArguments"
    assert message.startswith("scale: ")
    assert field in message
    assert rule in message


def test_what_json_schema_calls_an_integer_is_one() -> None:
    definition = define(scale)
    arguments = {"values": [1], "factor": 2.0}

    Draft202012Validator(definition.announcement().arguments).validate(arguments)
    assert definition.run(arguments) == [2]


def test_integers_of_any_size_stay_exact() -> None:
    large = 2**200 + 1
    encoded = msgspec.json.encode(returning(large, int).run({}))

    assert encoded == str(large).encode()
    assert msgspec.json.decode(encoded) == large


@pytest.mark.parametrize(
    ("result", "hint", "reason"),
    [
        (math.nan, float, "not a finite number"),
        ({"mean": -math.inf}, dict[str, float], "`$.mean`"),
        ([1.0, math.inf], list[float], "`$[1]`"),
        (10**1000, int, "more than 1000 digits"),
        pytest.param(-(10**5000), int, "more than 1000 digits", id="not even printable"),
        ("a\0b", str, "null character"),
        ("\ud800", str, "surrogate"),
        ("text", int, "Expected `int`, got `str`"),
        (None, int, "Expected `int`, got `null`"),
        (object(), Any, "no JSON for a value of type object"),
        (1 + 2j, Any, "no JSON for a value of type complex"),
    ],
)
def test_a_result_that_cannot_be_sent_is_an_answer(result: Any, hint: Any, reason: str) -> None:
    kind, message = refusal(lambda: returning(result, hint).run({}))

    assert kind == "InvalidResult"
    assert message.startswith("the result of give cannot be sent: ")
    assert reason in message


def test_numbers_and_arrays_of_numpy_become_json() -> None:
    result = {"sum": np.int64(3), "mean": np.float64(1.5), "all": np.arange(3)}

    assert returning(result).run({}) == {"sum": 3, "mean": 1.5, "all": [0, 1, 2]}


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ValueError("no such thing"), "ValueError", "no such thing"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError", "division by zero"),
        (KeyError("x"), "KeyError", "'x'"),
        (ValueError("a\0b\ud800"), "ValueError", r"a\x00b\ud800"),
        (ValueError("x" * 5000), "ValueError", "x" * 999 + "…"),
        (PermanentError("the wells are dry", "Dry"), "Dry", "the wells are dry"),
        (RecursionError("too deep"), "RecursionError", "too deep"),
    ],
)
def test_an_exception_is_an_answer(error: Exception, kind: str, message: str) -> None:
    assert refusal(lambda: raising(error).run({})) == (kind, message)


@pytest.mark.parametrize("error", [TransientError("busy"), SoftTimeLimitExceeded(), MemoryError()])
def test_these_exceptions_pass_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        raising(error).run({})

    assert caught.value is error


def test_the_declared_function_stays_callable() -> None:
    assert computation(scale)([3], factor=3) == [9]
    assert computation(name="times", time_limit=5)(scale) is scale


def test_declared_limits_replace_the_defaults() -> None:
    def slow() -> int:
        """Be slow."""
        return 1

    declared = computation(time_limit=60, memory_limit=1024)(slow)
    announcement = Definition(declared, getattr(declared, MARK), DEFAULTS).announcement()

    assert announcement.soft_time_limit == 60
    assert announcement.time_limit == 70
    assert announcement.memory_limit == 1024


def test_a_result_that_contains_itself_has_a_schema_of_its_own() -> None:
    schema = returning(None, Tree).announcement().result

    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate({"children": [{"children": []}]})
    assert not Draft202012Validator(schema).is_valid({"children": [1]})


class Tree(msgspec.Struct):
    children: list["Tree"]


def undocumented(x: int) -> int:
    return x


def untyped_argument(x) -> int:  # type: ignore[no-untyped-def]
    """Lack a hint."""
    return int(x)


def untyped_result(x: int):  # type: ignore[no-untyped-def]
    """Lack a hint."""
    return x


def variadic(*x: int) -> int:
    """Take any number of them."""
    return sum(x)


def positional(x: int, /) -> int:
    """Take it by position."""
    return x


def unrepresentable(x: Callable[[], int]) -> int:
    """Take what JSON cannot say."""
    return x()


def unresolvable(x: "Missing") -> int:  # type: ignore[name-defined]  # noqa: F821
    """Take what is not there."""
    return int(x)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (undocumented, "no docstring"),
        (untyped_argument, "x has no type hint"),
        (untyped_result, "its result has no type hint"),
        (variadic, r"\*x: int cannot be given by name"),
        (positional, "cannot be given by name"),
        (unrepresentable, "Callable"),
        (unresolvable, "its type hints: name 'Missing' is not defined"),
    ],
)
def test_a_function_that_cannot_be_a_computation_is_refused_by_name(
    function: Callable[..., Any], reason: str
) -> None:
    with pytest.raises(DefinitionError, match=reason) as caught:
        define(function)

    assert f".{function.__name__} cannot be a computation" in str(caught.value)


def test_a_time_limit_that_the_broker_would_not_wait_for_is_refused_by_name() -> None:
    declaration = Declaration("scale", time_limit=LONGEST_TIME_LIMIT + 1)
    with pytest.raises(DefinitionError, match=f"time_limit is more than {LONGEST_TIME_LIMIT} s"):
        Definition(scale, declaration, DEFAULTS)
