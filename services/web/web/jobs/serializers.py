"""Jobs and computations in the API."""

from typing import Any

from django.core.validators import MaxLengthValidator, MinLengthValidator
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from web.jobs.models import Computation, Job
from web.openapi import ProblemSerializer
from web.parsing import RequestSerializer

MOST_JOBS = 1_000  # of a batch
BATCH_SIZE = f"A batch has 1 to {MOST_JOBS:,} jobs."


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
        """Refuse arguments that are not a JSON object."""
        if not isinstance(value, dict):
            raise serializers.ValidationError("This must be an object.", code="type")
        return value


@extend_schema_field(SubmissionSerializer(many=True))
class EntriesField(serializers.Field[Any, Any, Any, Any]):
    """The jobs of a batch, each to be checked by itself."""

    def to_internal_value(self, data: Any) -> list[Any]:
        """Take a list of whatever. Raises ValidationError."""
        if not isinstance(data, list):
            raise serializers.ValidationError("This must be a list.", code="type")
        return data


class BatchSerializer(RequestSerializer):
    """A request to compute many things."""

    jobs = EntriesField(
        validators=[MinLengthValidator(1, BATCH_SIZE), MaxLengthValidator(MOST_JOBS, BATCH_SIZE)]
    )


class EntryProblemSerializer(ProblemSerializer):
    """Why one entry of a batch was not accepted."""

    instance = None  # type: ignore[assignment]  # both belong to the request as a whole
    request_id = None  # type: ignore[assignment]


class BatchEntrySerializer(serializers.Serializer[Any]):
    """What became of one entry of a batch: the id of its job, or a problem."""

    id = serializers.UUIDField(required=False)
    problem = EntryProblemSerializer(required=False)


class BatchAnswerSerializer(serializers.Serializer[Any]):
    """What became of a batch."""

    accepted = serializers.IntegerField()
    refused = serializers.IntegerField()
    jobs = BatchEntrySerializer(many=True, help_text="In the order of the request.")


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
