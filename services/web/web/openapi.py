"""The OpenAPI description of the API, with the problems that each operation may answer with."""

from typing import Any

from drf_spectacular.contrib.rest_framework_simplejwt import SimpleJWTScheme
from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers
from rest_framework.permissions import AllowAny, IsAuthenticated

from web.problems.document import MEDIA_TYPE

BODY_PROBLEMS = {
    "411": "The body came without a Content-Length.",
    "413": "The body is too large.",
    "415": "The body is not application/json in UTF-8, uncompressed.",
}
TEMPORARY = ("429", "503")
RETRY_AFTER = {"schema": {"type": "integer"}, "description": "Seconds until a repetition."}


class TokenScheme(SimpleJWTScheme):  # type: ignore[no-untyped-call]
    """Describes how a token is sent. drf-spectacular finds the class because it is defined."""

    target_class = "web.accounts.authentication.TokenAuthentication"


class RequestExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Says that a body may hold no other fields (``additionalProperties: false``)."""

    target_class = "web.parsing.RequestSerializer"
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> Any:
        """Describe a body, closed to other fields."""
        described = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        return described | {"additionalProperties": False}


class FieldErrorSerializer(serializers.Serializer[Any]):
    """An error in one field."""

    field = serializers.CharField(help_text="Dotted path, empty for the request as a whole.")
    code = serializers.CharField()
    detail = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """Problem details as in RFC 9457."""

    type = serializers.URLField(help_text="Explains the code, or about:blank.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    instance = serializers.CharField(help_text="Path of the request.")
    code = serializers.CharField(help_text="Stable name of the problem, for programs.")
    errors = FieldErrorSerializer(  # type: ignore[assignment]  # the name is RFC 9457's example
        many=True, help_text="Empty unless the code is `invalid`."
    )
    request_id = serializers.CharField(help_text="Please tell us this one if you ask for help.")


def problem(description: str) -> OpenApiResponse:
    """Document a problem of an operation: ``responses={409: problem("It has ended.")}``."""
    return OpenApiResponse(ProblemSerializer, description)


class ProblemAutoSchema(AutoSchema):
    """Adds problems to each operation, as they follow from its view, parameters and body."""

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        for status, description in self._problems().items():
            if status not in bodies:
                bodies[status] = self._get_response_for_code(problem(description), status)
        return dict(sorted(bodies.items()))

    def _get_response_for_code(
        self,
        serializer: Any,
        status_code: str,
        media_types: Any = None,
        direction: Any = "response",
    ) -> dict[str, Any]:
        if isinstance(serializer, OpenApiResponse) and serializer.response is ProblemSerializer:
            media_types = [MEDIA_TYPE]
        answer: dict[str, Any] = super()._get_response_for_code(  # type: ignore[no-untyped-call]
            serializer, status_code, media_types, direction
        )
        answer["description"] = answer["description"] or "Done."
        if status_code in TEMPORARY:
            answer["headers"] = {"Retry-After": RETRY_AFTER}
        return answer

    def _problems(self) -> dict[str, str]:
        problems = {"503": "The database is away; see Retry-After."}
        if self._get_request_body():  # type: ignore[no-untyped-call]
            problems |= {"400": "A field is not right; see `errors`.", **BODY_PROBLEMS}
        elif any(parameter["in"] == "query" for parameter in self._get_parameters()):
            problems["400"] = "A parameter is not right; see `errors`."
        if self.view.get_authenticators():
            problems["401"] = "There is no valid access token."
        if any(
            not isinstance(needed, (AllowAny, IsAuthenticated))
            for needed in self.view.get_permissions()
        ):
            problems["403"] = "The account may not do this."
        if "{" in self.path:
            problems["404"] = "It does not exist, or is not yours."
        if self.view.get_throttles():
            problems["429"] = "Too many requests; see Retry-After."
        return problems
