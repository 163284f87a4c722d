"""Operators see the outbox, and replay or discard dead letters."""

from collections.abc import Callable

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from web.messaging import dead_letters
from web.messaging.models import DeadLetter, OutboxMessage
from web.messaging.redaction import shown_arguments


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that the system writes and people only read."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds a row by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Nobody changes one."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Nobody deletes one."""
        return False


@admin.register(OutboxMessage)
class OutboxMessageAdmin(ReadOnlyAdmin):
    """What waits for the broker."""

    list_display = ["id", "routing_key", "task_id", "created_at", "due_at", "leased_until",
                    "refusals"]  # fmt: skip
    fields = [*list_display, "exchange", "last_refusal"]  # type: ignore[list-item]
    list_filter = ["routing_key"]


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    """What could not be handled."""

    list_display = ["id", "created_at", "state", "reason", "task", "task_id", "detail"]
    list_filter = ["state", "reason", "task"]
    search_fields = ["task_id", "detail"]
    fields = ["state", "reason", "detail", "task", "task_id", "arguments", "queue", "exchange",
              "routing_key", "headers", "created_at", "handled_at", "handled_by"]  # fmt: skip
    readonly_fields = ["arguments"]
    actions = ["replay", "discard"]

    @admin.display(description="arguments, without secrets")
    def arguments(self, letter: DeadLetter) -> str:
        """Only what the task's contract shows."""
        return shown_arguments(letter)

    def has_manage_permission(self, request: HttpRequest) -> bool:
        """Whether the user may repair: the permission to change dead letters."""
        return request.user.has_perm("messaging.change_deadletter")

    @admin.action(description="Replay the selected dead letters", permissions=["manage"])
    def replay(self, request: HttpRequest, letters: QuerySet[DeadLetter]) -> None:
        """Send them again through the outbox."""
        self._each(request, letters, dead_letters.replay, "replayed")

    @admin.action(description="Discard the selected dead letters", permissions=["manage"])
    def discard(self, request: HttpRequest, letters: QuerySet[DeadLetter]) -> None:
        """Give them up."""
        self._each(request, letters, dead_letters.discard, "discarded")

    def _each(
        self,
        request: HttpRequest,
        letters: QuerySet[DeadLetter],
        act: Callable[[int, str], None],
        done: str,
    ) -> None:
        count = 0
        for letter in letters:
            try:
                act(letter.pk, request.user.get_username())
                count += 1
            except dead_letters.NotReplayableError as error:
                self.message_user(request, f"{letter.pk}: {error}", messages.WARNING)
        self.message_user(request, f"{count} {done}")
