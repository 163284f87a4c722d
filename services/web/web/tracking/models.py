"""The fields of each row that shows the state of a task."""

import uuid
from typing import Any

from django.db import models
from django.db.models.functions import Now

from web.postgresql.exact_json import ExactJSONField


class TrackedTask(models.Model):
    """The row of one task. Its id is the task's id.

    ``attempt`` and ``phase`` are the rank of the event that the row shows (see
    ``web.tracking.rules``). A subclass adds whatever else its events bring, and may have other
    states.
    """

    class State(models.TextChoices):
        """The states of a task."""

        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    attempt = models.PositiveIntegerField(default=0)
    phase = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now())
    queued_at = models.DateTimeField(
        db_default=Now(), help_text="Since when it is being tried; later if an operator repeated it"
    )
    dispatched_at = models.DateTimeField(
        db_default=Now(), help_text="When its latest message was due to be published"
    )
    republished = models.PositiveSmallIntegerField(
        default=0, help_text="How often its message was lost and published again"
    )

    class Meta:
        abstract = True


class AnsweredTask(TrackedTask):
    """A task whose answer is kept: a result, or an error with its type and message."""

    FINAL = (
        TrackedTask.State.SUCCEEDED,
        TrackedTask.State.FAILED,
        TrackedTask.State.CANCELLED,
    )
    UNFINISHED = (TrackedTask.State.QUEUED, TrackedTask.State.RUNNING)

    result = ExactJSONField(null=True)
    error_type = models.TextField(blank=True, default="")
    error_message = models.TextField(blank=True, default="")
    worker = models.TextField(blank=True, default="")
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True

    @property
    def is_final(self) -> bool:
        """Whether the task has an answer."""
        return self.state in self.FINAL

    @property
    def error(self) -> dict[str, Any] | None:
        """Type and message of the error; None if there is none."""
        if not self.error_type:
            return None
        return {"type": self.error_type, "message": self.error_message}
