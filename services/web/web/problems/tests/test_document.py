"""How nested errors become a flat list."""

from typing import Any

import pytest
from rest_framework import serializers
from rest_framework.exceptions import APIException, ErrorDetail, ValidationError

from web.problems import Conflict, UnprocessableContent
from web.problems.document import describe


class Point(serializers.Serializer[Any]):
    x = serializers.IntegerField()


class Drawing(serializers.Serializer[Any]):
    points = Point(many=True)
    weights = serializers.ListField(child=serializers.IntegerField())

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        raise serializers.ValidationError("It is empty.", code="empty")


def errors_of(data: Any) -> list[tuple[str, str]]:
    serializer = Drawing(data=data)
    assert not serializer.is_valid()
    problem = describe(ValidationError(serializer.errors), "/")
    return [(error["field"], error["code"]) for error in problem["errors"]]


def test_a_field_is_named_by_its_path() -> None:
    data = {"points": [{"x": 1}, {"x": "one"}, {}], "weights": [1, "two"]}
    assert errors_of(data) == [
        ("points.1.x", "invalid"),
        ("points.2.x", "required"),
        ("weights.1", "invalid"),
    ]


def test_an_error_of_the_whole_has_no_field() -> None:
    assert errors_of({"points": [], "weights": []}) == [("", "empty")]


@pytest.mark.parametrize(
    ("error", "status", "code", "detail"),
    [
        (Conflict("It has ended.", "job_is_final"), 409, "job_is_final", "It has ended."),
        (UnprocessableContent(), 422, "unprocessable", "The request cannot be followed."),
        (ValidationError("Nonsense."), 400, "invalid", "Nonsense."),
    ],
)
def test_an_error_of_our_own_keeps_its_code_and_words(
    error: APIException, status: int, code: str, detail: str
) -> None:
    problem = describe(error, "/somewhere")
    assert (problem["status"], problem["code"], problem["detail"]) == (status, code, detail)
    assert problem["instance"] == "/somewhere"


def test_a_code_that_is_explained_nowhere_has_no_type_of_its_own() -> None:
    problem = describe(Conflict("So what.", "unheard_of"), "/")
    assert (problem["type"], problem["title"]) == ("about:blank", "Conflict")


def test_a_rule_of_a_field_is_its_code() -> None:
    error = ValidationError({"arguments.x": [ErrorDetail("'a' is not a number", "type")]})
    assert describe(error, "/")["errors"] == [
        {"field": "arguments.x", "code": "type", "detail": "'a' is not a number"}
    ]
