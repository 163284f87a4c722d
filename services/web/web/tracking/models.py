"""What each row has that shows where a task is."""

import uuid

from django.db import models
from django.db.models.functions import Now


class TrackedTask(models.Model):
    """The row of one task, of which its id is the task's.

    ``attempt`` and ``phase`` are the rank of the event that the row shows (see
    ``web.tracking.rules``). A subclass adds whatever else its events bring, and may have other
    states.
    """

    class State(models.TextChoices):
        """Where the task is."""

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
