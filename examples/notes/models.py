"""What somebody has noted."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class Note(models.Model):
    """A text, and how many words it has, once they are counted."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notes"
    )
    text = models.TextField(max_length=10_000)
    words = models.PositiveIntegerField(null=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["owner", "-created_at", "-id"], name="note_owner_newest")]

    def __str__(self) -> str:
        return f"note {self.id}"
