"""Mails and the attempts to send them."""

from django.conf import settings
from django.db import models

from web.tracking.models import TrackedTask


class Email(TrackedTask):
    """One mail that web asked the mailer to send.

    Its id is also the task's id and the key by which the mailer sends it only once. ``attempt``
    and ``phase`` are the rank of the event that the row shows (see ``web.tracking.rules``).
    ``context`` may hold a key, so it is shown nowhere and erased when it is no longer needed.
    """

    class State(models.TextChoices):
        """The state of the mail."""

        QUEUED = "queued"
        SENDING = "sending"
        RETRYING = "retrying"
        SENT = "sent"
        FAILED = "failed"

    FINAL = (State.SENT, State.FAILED)
    UNFINISHED = (State.QUEUED, State.SENDING, State.RETRYING)

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+"
    )
    template = models.CharField(max_length=60)
    recipient = models.EmailField(max_length=254)
    context = models.JSONField(null=True)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    answer = models.TextField(blank=True, default="")
    message_id = models.TextField(blank=True, default="")
    uncertain = models.BooleanField(
        default=False, help_text="It may have been sent twice: a worker died while sending it."
    )
    next_attempt_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="email_newest"),
            models.Index(fields=["user", "-created_at", "-id"], name="email_user_newest"),
            models.Index(fields=["user", "state", "-created_at"], name="email_user_state"),
            models.Index(fields=["state", "-created_at"], name="email_state"),
            models.Index(
                fields=["recipient"],
                name="email_unowned",  # until the address has an account
                condition=models.Q(user__isnull=True),
            ),
            models.Index(
                fields=["dispatched_at"],
                name="email_unfinished",
                condition=models.Q(state__in=["queued", "sending", "retrying"]),
            ),
            models.Index(
                fields=["failed_at"],
                name="email_failed_context",
                condition=models.Q(state="failed", context__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.template} {self.id}"


class EmailAttempt(models.Model):
    """One run of the mailer for one mail, and how it ended.

    ``number`` has a gap where a worker died before it could report its run.
    """

    class Outcome(models.TextChoices):
        """How the run ended; ``started`` if it has not, or nothing is known of its end."""

        STARTED = "started"
        DEFERRED = "deferred"
        FAILED = "failed"
        SENT = "sent"

    email = models.ForeignKey(Email, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    phase = models.PositiveSmallIntegerField()
    at = models.DateTimeField()
    worker = models.TextField(blank=True)
    outcome = models.CharField(max_length=10, choices=Outcome)
    answer = models.TextField(blank=True)

    class Meta:
        ordering = ["email", "number"]
        constraints = [
            models.UniqueConstraint(fields=["email", "number"], name="email_attempt_number")
        ]

    def __str__(self) -> str:
        return f"attempt {self.number}: {self.outcome}"
