"""Messages of the outbox, dead letters, workers, and the lives of processes."""

from collections.abc import Sequence

from django.db import models
from django.db.models.functions import Now

from contracts import topology


class OutboxMessage(models.Model):
    """A message that belongs to a committed transaction and is not yet confirmed by the broker.

    The relay publishes its body byte for byte, and deletes it after the confirm. ``due_at`` may lie
    in the future: the outbox is the only scheduler. ``expected`` are the seconds that the task is
    expected to take, in its first run, if anybody knows.
    """

    members: "Sequence[OutboxMessage]" = ()  # of a bundle, which is never stored itself

    task_id = models.UUIDField(null=True, db_index=True)
    exchange = models.TextField()
    routing_key = models.TextField(blank=True)
    headers = models.JSONField()
    properties = models.JSONField()
    body = models.BinaryField()
    mandatory = models.BooleanField(default=True)
    sent_event = models.JSONField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    due_at = models.DateTimeField(db_default=Now())
    leased_until = models.DateTimeField(null=True)
    refusals = models.PositiveIntegerField(default=0)
    last_refusal = models.TextField(blank=True, default="")
    expected = models.FloatField(null=True)

    class Meta:
        indexes = [models.Index(fields=["due_at"], name="outbox_due")]
        verbose_name = "outbox message"

    def __str__(self) -> str:
        return f"{self.routing_key or self.exchange} #{self.pk}"

    @property
    def rows(self) -> "Sequence[OutboxMessage]":
        """The stored messages that are published as this one."""
        return self.members or (self,)


class Worker(models.Model):
    """A worker, as its last report describes it.

    ``clock_offset`` is the number of seconds by which its clock is ahead of the database's, less
    the time that the report took. ``holding`` lists the ids of the tasks that it holds. ``checks``
    maps the name of each thing that it needs, such as ``smtp``, to a problem, or to an empty text.
    """

    node = models.TextField(primary_key=True)
    service = models.TextField()
    seen_at = models.DateTimeField()
    clock_offset = models.FloatField()
    holding = models.JSONField()
    checks = models.JSONField()

    class Meta:
        ordering = ["service", "node"]

    def __str__(self) -> str:
        return self.node


class ProcessLife(models.Model):
    """One life of a relay, a collector, a reconciler or a worker, from its start to its end.

    All times are the database's but ``began``, which tells the lives of one process apart.
    ``error`` is the error that ended a life. A process that ends as it was told to deletes its row,
    if it can. Any other life has ended if it was not seen for a while.
    """

    process = models.TextField()
    node = models.TextField()
    began = models.DateTimeField()
    first_seen_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())
    error = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["process", "node", "began"], name="process_life")
        ]

    def __str__(self) -> str:
        return f"{self.process} {self.node}"


class DeadLetter(models.Model):
    """A message that could not be handled, kept as it was until an operator decides about it."""

    class State(models.TextChoices):
        """Whether the letter waits for an operator, or how it was dealt with."""

        WAITING = "waiting"
        REPLAYED = "replayed"
        DISCARDED = "discarded"

    fingerprint = models.CharField(max_length=64, unique=True)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    reason = models.CharField(max_length=40)
    detail = models.TextField(blank=True)
    task = models.TextField(blank=True)
    task_id = models.UUIDField(null=True, db_index=True)
    queue = models.TextField(blank=True)
    exchange = models.TextField()
    routing_key = models.TextField(blank=True)
    headers = models.JSONField()
    properties = models.JSONField()
    body = models.BinaryField()
    created_at = models.DateTimeField(db_default=Now())
    handled_at = models.DateTimeField(null=True)
    handled_by = models.TextField(blank=True, default="")

    is_new = False  # set before saving: no collector can have stored the letter before

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="dead_letter_newest"),
            models.Index(fields=["state", "-created_at"], name="dead_letter_state"),
            models.Index(fields=["reason"], name="dead_letter_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.task or self.routing_key or 'message'}: {self.reason}"

    @property
    def kind(self) -> str:
        """The kind of work, as ``web.tracking.registry`` knows it."""
        own = self.routing_key.startswith(f"{topology.WEB_TASKS}.")
        return "tasks" if own else self.task
