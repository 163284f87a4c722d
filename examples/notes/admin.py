"""Operators see notes, but not what is in them."""

from django.contrib import admin

from notes.models import Note


@admin.register(Note)
class NoteAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """All notes."""

    list_display = ["id", "owner", "words", "created_at"]
    list_select_related = ["owner"]
    search_fields = ["id", "owner__email"]
    fields = ["id", "owner", "words", "created_at"]
    readonly_fields = ("id", "owner", "words", "created_at")
