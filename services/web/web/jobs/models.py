"""Jobs and the catalogue of computations."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from web.postgresql.exact_json import ExactJSONField
from web.tracking.models import AnsweredTask


class Computation(models.Model):
    """A computation that a compute worker has announced.

    ``available`` turns false when no worker has announced it for a while, although workers announce
    others.
    Times are seconds, memory is MiB. ``expected`` is the time that a run takes, as far as is known.
    """

    name = models.TextField(primary_key=True)
    summary = models.TextField()
    description = models.TextField(blank=True)
    arguments_schema = models.JSONField()
    result_schema = models.JSONField()
    soft_time_limit = models.PositiveIntegerField()
    time_limit = models.PositiveIntegerField()
    memory_limit = models.PositiveIntegerField()
    available = models.BooleanField(default=True)
    announced_at = models.DateTimeField()
    expected = models.FloatField(null=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Job(AnsweredTask):
    """One computation asked for by a user.

    ``progress_done`` is also a part of the rank of the event that the row shows.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    computation = models.TextField()
    arguments = ExactJSONField()
    soft_time_limit = models.PositiveIntegerField()
    time_limit = models.PositiveIntegerField()
    progress_done = models.BigIntegerField(default=0)
    progress_total = models.BigIntegerField(null=True)
    cancelled_by_user = models.BooleanField(default=False)
    idempotency_key = models.CharField(max_length=255, null=True)  # noqa: DJ001 -- unique if given

    class Meta:
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="job_newest"),
            models.Index(fields=["owner", "-created_at", "-id"], name="job_owner_newest"),
            models.Index(fields=["owner", "state", "-created_at"], name="job_owner_state"),
            models.Index(
                fields=["dispatched_at"],
                name="job_unfinished",
                condition=models.Q(state__in=["queued", "running"]),
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["owner", "idempotency_key"], name="job_idempotency_key")
        ]

    def __str__(self) -> str:
        return f"{self.computation} {self.id}"

    @property
    def progress(self) -> dict[str, int] | None:
        """Units of work ``done`` and in ``total``; None if the computation does not report them."""
        if self.progress_total is None:
            return None
        return {"done": self.progress_done, "total": self.progress_total}


class JobBatch(models.Model):
    """The answer to a batch of jobs that came with an idempotency key.

    ``digest`` is that of the request's body.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    idempotency_key = models.CharField(max_length=255)
    digest = models.CharField(max_length=64)
    answer = ExactJSONField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="job_batch_created")]
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "idempotency_key"], name="job_batch_idempotency_key"
            )
        ]
        verbose_name_plural = "job batches"

    def __str__(self) -> str:
        return self.idempotency_key
