"""One row for each task that has no table of its own."""

from django.conf import settings
from django.db import models

from web.postgresql.exact_json import ExactJSONField
from web.tracking.models import AnsweredTask
from web.tracking.waiting import watch


class Task(AnsweredTask):
    """A task of any contract: what it was asked, and what it has answered.

    ``arguments`` may hold secrets, and are shown as the contract allows.
    """

    name = models.TextField(help_text="Of its contract, such as compute.run.")
    arguments = ExactJSONField()
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+"
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
        ]

    def wait(self, seconds: float) -> "Task":
        """Return the task as it is when it has ended, or after so many seconds.

        Raises InsideTransactionError: the answer comes only after the transaction that asks.
        """
        return watch.wait(self, seconds)

    def __str__(self) -> str:
        return f"{self.name} {self.id}"
