"""How jobs and computations look in the API."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from web.jobs.models import Computation, Job
from web.parsing import RequestSerializer


class ProgressSerializer(serializers.Serializer[Any]):
    """``done`` of ``total`` units of work."""

    done = serializers.IntegerField()
    total = serializers.IntegerField()


class JobErrorSerializer(serializers.Serializer[Any]):
    """Why a job failed."""

    type = serializers.CharField()
    message = serializers.CharField()


class ListedJobSerializer(serializers.ModelSerializer[Job]):
    """A job in a list: without arguments and result, each of which may be large."""

    progress = ProgressSerializer(allow_null=True, read_only=True)
    error = JobErrorSerializer(allow_null=True, read_only=True)
    attempts = serializers.IntegerField(source="attempt", read_only=True)

    class Meta:
        model = Job
        fields = [
            "id", "computation", "state", "progress", "error", "attempts", "worker", "created_at",
            "started_at", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields


class JobSerializer(ListedJobSerializer):
    """A job as its owner sees it."""

    result = serializers.JSONField(allow_null=True, read_only=True)

    class Meta(ListedJobSerializer.Meta):
        fields = [*ListedJobSerializer.Meta.fields, "arguments", "result"]
        read_only_fields = fields


@extend_schema_field({"type": "object", "additionalProperties": {}})
class ArgumentsField(serializers.JSONField):
    """A JSON object; its properties follow the computation's own schema."""


class SubmissionSerializer(RequestSerializer):
    """A request to compute something."""

    computation = serializers.CharField(max_length=200)
    arguments = ArgumentsField()

    def validate_arguments(self, value: Any) -> dict[str, Any]:
        """Refuse arguments that are no JSON object."""
        if not isinstance(value, dict):
            raise serializers.ValidationError("This must be an object.", code="type")
        return value


class LimitsSerializer(serializers.Serializer[Any]):
    """How long a computation may run and how much memory it may use."""

    soft_time_limit = serializers.IntegerField(help_text="Seconds after which it is told to end.")
    time_limit = serializers.IntegerField(help_text="Seconds after which it is stopped.")
    memory_limit = serializers.IntegerField(help_text="MiB.")


class ComputationSerializer(serializers.ModelSerializer[Computation]):
    """An entry of the catalogue."""

    arguments = serializers.JSONField(source="arguments_schema", help_text="JSON Schema")
    result = serializers.JSONField(source="result_schema", help_text="JSON Schema")
    limits = LimitsSerializer(source="*")

    class Meta:
        model = Computation
        fields = ["name", "summary", "description", "arguments", "result", "limits"]
