"""The API of notes."""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, viewsets

from notes.models import Note
from notes.tasks import count_words
from web.pagination import NewestFirst
from web.parsing import RequestSerializer


class NoteSerializer(RequestSerializer, serializers.ModelSerializer[Note]):
    """A note as its owner sees it."""

    words = serializers.IntegerField(
        read_only=True, allow_null=True, help_text="Null until they are counted."
    )

    class Meta:
        model = Note
        fields = ["id", "text", "words", "created_at"]


@extend_schema_view(
    create=extend_schema(summary="Note something"),
    list=extend_schema(summary="List your notes, newest first"),
    retrieve=extend_schema(summary="Show a note"),
)
class NoteViewSet(
    mixins.CreateModelMixin,
    mixins.RetrieveModelMixin,
    mixins.ListModelMixin,
    viewsets.GenericViewSet[Note],
):
    """Notes of the user who asks."""

    queryset = Note.objects.none()
    serializer_class = NoteSerializer
    pagination_class = NewestFirst
    lookup_value_regex = "[0-9a-f-]{36}"

    def get_queryset(self) -> QuerySet[Note]:
        """Only the user's own."""
        return Note.objects.filter(owner=self.request.user.pk)

    @transaction.atomic
    def perform_create(self, serializer: Any) -> None:
        """Store the note and its task together: neither is there without the other."""
        note = serializer.save(owner=self.request.user)
        count_words.delay(str(note.pk))
