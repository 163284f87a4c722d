"""What is done with notes outside of a request."""

from datetime import timedelta

from celery import shared_task
from django.db.models.functions import Now

from notes.models import Note
from web.tasks.periodic import periodic

KEPT_FOR = timedelta(days=365)


@shared_task
def count_words(note_id: str) -> int:
    """Count the words of a note. It bears to be run twice: the answer is the same."""
    note = Note.objects.get(pk=note_id)
    note.words = len(note.text.split())
    note.save(update_fields=["words"])
    return note.words


@periodic("30 4 * * *")
@shared_task
def forget_old_notes() -> int:
    """Delete notes that nobody will look for any more; returns how many."""
    deleted, _ = Note.objects.filter(created_at__lt=Now() - KEPT_FOR).delete()
    return deleted
