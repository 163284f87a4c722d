"""Dead letters in the API and in ``manage.py dead_letters --json``, without secrets."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from web.messaging.letters import redaction
from web.messaging.models import DeadLetter
from web.messaging.reasons import Reason
from web.parsing import RequestSerializer

OBJECT = {"type": "object", "additionalProperties": {}}
LARGEST_ID = 2**63 - 1
MOST_IDS = 1000


class DeadLetterSerializer(serializers.ModelSerializer[DeadLetter]):
    """A dead letter in a list."""

    reason = serializers.CharField(
        read_only=True,
        help_text="One of "
        + "; ".join(f"`{reason}`: {reason.meaning}" for reason in Reason)
        + ". Or another word of RabbitMQ's.",
    )

    class Meta:
        model = DeadLetter
        fields = [
            "id", "state", "reason", "detail", "task", "task_id", "queue", "created_at",
            "handled_at", "handled_by",
        ]  # fmt: skip
        read_only_fields = fields


class DeathSerializer(serializers.Serializer[Any]):
    """One entry of RabbitMQ's record of how a message died."""

    queue = serializers.CharField()
    reason = serializers.CharField()
    count = serializers.IntegerField()
    time = serializers.CharField(help_text="UTC, whole seconds.")
    exchange = serializers.CharField()
    routing_keys = serializers.ListField(child=serializers.CharField())


class SubjectSerializer(serializers.Serializer[Any]):
    """The job or mail that a message belonged to."""

    kind = serializers.CharField(help_text="Such as job or email.")
    id = serializers.UUIDField()
    state = serializers.CharField()
    page = serializers.URLField(allow_null=True, help_text="In the admin; null if it has none.")


class DeadLetterDetailSerializer(DeadLetterSerializer):
    """A dead letter with all that may be shown of it."""

    body_size = serializers.SerializerMethodField(help_text="Bytes; 0 once it is dealt with.")
    arguments = serializers.SerializerMethodField(
        help_text="Of the task, with `…` for what may not be shown. Null if the body is no message "
        "of a known task, or erased because the letter is dealt with."
    )
    headers = serializers.SerializerMethodField(help_text="With `…` for what may not be shown.")
    deaths = serializers.SerializerMethodField(help_text="RabbitMQ's record, latest first.")
    subject = serializers.SerializerMethodField(
        help_text="The job or mail that it belonged to; null if there is none."
    )

    class Meta(DeadLetterSerializer.Meta):
        fields = [
            *DeadLetterSerializer.Meta.fields, "exchange", "routing_key", "properties",
            "body_size", "arguments", "headers", "deaths", "subject",
        ]  # fmt: skip
        read_only_fields = fields
        extra_kwargs = {"properties": {"help_text": "Of AMQP."}}

    def get_body_size(self, letter: DeadLetter) -> int:
        """Count the bytes of the body, which is not shown."""
        return len(letter.body)

    @extend_schema_field(OBJECT | {"nullable": True})
    def get_arguments(self, letter: DeadLetter) -> dict[str, Any] | None:
        """Show the arguments that the task's contract does not hide."""
        return redaction.shown_arguments(letter)

    @extend_schema_field(OBJECT)
    def get_headers(self, letter: DeadLetter) -> dict[str, Any]:
        """Show the headers, with values only of those that Warren and RabbitMQ set."""
        return redaction.shown_headers(letter)

    @extend_schema_field(DeathSerializer(many=True))
    def get_deaths(self, letter: DeadLetter) -> list[dict[str, Any]]:
        """Return the entries of the header x-death, reduced to the fields of DeathSerializer."""
        return redaction.deaths(letter)

    @extend_schema_field(SubjectSerializer(allow_null=True))
    def get_subject(self, letter: DeadLetter) -> dict[str, Any] | None:
        """Describe the job or mail, with a link to its page in the admin."""
        row = redaction.subject(letter)
        if row is None:
            return None
        page = redaction.admin_page(row)
        return {
            "kind": row._meta.model_name,
            "id": str(row.pk),
            "state": getattr(row, "state", ""),
            "page": settings.PUBLIC_URL + page if page else None,
        }


class SelectionSerializer(RequestSerializer):
    """A selection of letters: by number, or all waiting ones of a reason."""

    ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=LARGEST_ID),
        min_length=1,
        max_length=MOST_IDS,
        required=False,
    )
    reason = serializers.CharField(required=False, help_text="All that wait and died of this.")
    task = serializers.CharField(required=False, help_text="Of these only those of this task.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Require one way to select: ids, or a reason and perhaps a task."""
        if ("ids" in attrs) == ("reason" in attrs) or ("ids" in attrs and "task" in attrs):
            raise serializers.ValidationError("Give either ids, or a reason and perhaps a task.")
        return attrs


class RefusalSerializer(serializers.Serializer[Any]):
    """Why a letter was left as it was."""

    id = serializers.IntegerField()
    code = serializers.CharField(help_text="Stable name of the problem, for programs.")
    detail = serializers.CharField()


class ReportSerializer(serializers.Serializer[Any]):
    """The outcome for a selection of letters."""

    done = serializers.IntegerField()
    refused = serializers.IntegerField(help_text="Left as they were.")
    refusals = RefusalSerializer(many=True, help_text="Of those the first hundred.")
    remaining = serializers.IntegerField(
        help_text="Not yet looked at, because time was up: repeat the request."
    )


class GroupSerializer(serializers.Serializer[Any]):
    """Waiting letters of the same reason and the same task."""

    reason = serializers.CharField()
    task = serializers.CharField(allow_blank=True)
    count = serializers.IntegerField()
    oldest = serializers.DateTimeField()


class SummarySerializer(serializers.Serializer[Any]):
    """The letters that wait for an operator."""

    waiting = serializers.IntegerField()
    oldest_age = serializers.FloatField(allow_null=True, help_text="Seconds; null if none waits.")
    groups = GroupSerializer(many=True, help_text="The hundred largest.")
