"""One row for each task that has no table of its own."""

from typing import Any

from django.conf import settings
from django.db import models

from web.postgresql.exact_json import ExactJSONField
from web.tracking.models import AnsweredTask
from web.tracking.waiting import watch

SERVICE = "tasks"  # whose workers run web's own tasks


class Task(AnsweredTask):
    """A task of a contract, or one of web's own, with its message and its answer.

    ``message`` is the whole message, as ``StoredMessage`` encodes it. A task without one has not
    been sent yet: another has to end before. The arguments may hold secrets, and are shown only as
    far as the task's declaration allows.
    """

    name = models.TextField(help_text="Such as compute.run, or shop.tasks.add.")
    service = models.TextField(default="", help_text="Whose workers run it.")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+"
    )
    message = models.BinaryField(null=True)
    is_followed = models.BooleanField(default=False, help_text="Whether others wait for it.")
    ignore_result = models.BooleanField(default=False)
    group_id = models.UUIDField(null=True)
    group_index = models.PositiveIntegerField(null=True)
    parent_id = models.UUIDField(null=True)
    children = ExactJSONField(null=True)
    exception = ExactJSONField(null=True, help_text="As Celery serializes it.")
    traceback = models.TextField(blank=True, default="")
    custom_state = models.TextField(blank=True, default="")
    meta = ExactJSONField(null=True, help_text="What a run has said of itself with update_state.")
    updates = models.PositiveIntegerField(default=0, help_text="How often it has.")
    revoked_from = models.PositiveIntegerField(
        null=True, help_text="The first run that must not be."
    )

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="task_newest"),
            models.Index(fields=["owner", "-created_at", "-id"], name="task_owner_newest"),
            models.Index(
                fields=["dispatched_at"],
                name="task_unfinished",
                condition=models.Q(state__in=["queued", "running"]),
            ),
            models.Index(
                fields=["group_id"], name="task_group", condition=models.Q(group_id__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.id}"

    def wait(self, seconds: float) -> "Task":
        """Return the task as it is when it has ended, or after ``seconds``.

        Raises InsideTransactionError in a transaction: the task may be sent only by its commit.
        """
        return watch.wait(self, seconds)


class TaskGroup(models.Model):
    """A saved group of tasks, or the header of a chord that is not complete."""

    id = models.UUIDField(primary_key=True)
    chord_size = models.PositiveIntegerField(
        null=True, help_text="Of how many tasks the body waits for."
    )
    saved: Any = ExactJSONField(null=True, help_text="What Celery restores it from.")
    created_at = models.DateTimeField(db_default=models.functions.Now())

    def __str__(self) -> str:
        return f"group {self.id}"


class PeriodicTask(models.Model):
    """The state of a periodic task. Its schedule and arguments are declared in the code."""

    name = models.TextField(primary_key=True)
    last_due = models.DateTimeField(help_text="Times up to this one have been dealt with.")
    last_task = models.UUIDField(null=True, help_text="The task that was sent for it.")
    paused = models.BooleanField(default=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
