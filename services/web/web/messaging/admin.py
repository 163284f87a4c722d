"""Operators see the outbox, and replay or discard dead letters."""

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join

from web.messaging import redaction, repair
from web.messaging.models import DeadLetter, OutboxMessage, Worker
from web.messaging.redaction import admin_page

MOST_MESSAGES = 10  # of what was refused: they travel in a cookie


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
    ordering = ["due_at", "id"]


class TaskAdmin(ReadOnlyAdmin):
    """Rows that have the id of a task, with the dead letters of that task."""

    ordering = ["-created_at", "-id"]
    readonly_fields = ["dead_letters"]
    show_full_result_count = False  # counting a million rows takes longer than showing a page

    @admin.display(description="dead letters")
    def dead_letters(self, row: Model) -> str:
        """Link to each, newest first."""
        letters = DeadLetter.objects.filter(task_id=row.pk)
        links = [(admin_page(letter), letter.pk, letter.reason, letter.state) for letter in letters]
        return format_html_join(", ", '<a href="{}">{}</a> {} ({})', links) or "none"


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    """Who works, by the workers' own reports."""

    list_display = ["node", "service", "seen_at", "clock_offset", "checks"]
    list_filter = ["service"]


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    """What could not be handled."""

    list_display = ["id", "created_at", "state", "reason", "task", "task_id", "detail"]
    list_filter = ["state", "reason", "task", "queue", "created_at"]
    search_fields = ["task_id", "detail", "routing_key"]
    show_full_result_count = False  # counting a million rows takes longer than showing a page
    fields = ["state", "reason", "detail", "task", "task_id", "subject", "arguments", "queue",
              "exchange", "routing_key", "shown_headers", "properties", "created_at", "handled_at",
              "handled_by"]  # fmt: skip
    readonly_fields = ["subject", "arguments", "shown_headers"]
    actions = ["replay", "discard"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeadLetter]:
        """Without what may be large: a page that shows it fetches it."""
        return super().get_queryset(request).defer("headers", "properties", "body")

    @admin.display(description="job or mail")
    def subject(self, letter: DeadLetter) -> str:
        """Link to it."""
        row = redaction.subject(letter)
        page = admin_page(row) if row else ""
        return format_html('<a href="{}">{}</a>', page, row) if page else str(row or "none")

    @admin.display(description="arguments, without secrets")
    def arguments(self, letter: DeadLetter) -> str:
        """Only what the task's contract shows."""
        return redaction.shown_body(letter)

    @admin.display(description="headers, without secrets")
    def shown_headers(self, letter: DeadLetter) -> str:
        """Only those that Warren and RabbitMQ set."""
        return redaction.pretty(redaction.shown_headers(letter))

    def has_manage_permission(self, request: HttpRequest) -> bool:
        """Whether the user may repair: the permission to change dead letters."""
        return request.user.has_perm("messaging.change_deadletter")

    @admin.action(description="Replay the selected dead letters", permissions=["manage"])
    def replay(self, request: HttpRequest, letters: QuerySet[DeadLetter]) -> None:
        """Send them again through the outbox."""
        self._sweep(request, letters, repair.replay, "replayed")

    @admin.action(description="Discard the selected dead letters", permissions=["manage"])
    def discard(self, request: HttpRequest, letters: QuerySet[DeadLetter]) -> None:
        """Give them up."""
        self._sweep(request, letters, repair.discard, "discarded")

    def _sweep(
        self, request: HttpRequest, letters: QuerySet[DeadLetter], act: repair.Action, done: str
    ) -> None:
        ids = list(letters.order_by("pk").values_list("pk", flat=True))
        by = request.user.get_username()
        report = repair.sweep(act, ids, by, seconds=repair.REQUEST_BUDGET)
        self.message_user(request, f"{report.done} {done}")
        for refusal in report.refusals[:MOST_MESSAGES]:
            self.message_user(request, f"{refusal.id}: {refusal.detail}", messages.WARNING)
        if report.refused > MOST_MESSAGES:
            self.message_user(request, f"{report.refused} were left as they are", messages.WARNING)
        if report.remaining:
            left = f"{report.remaining} remain, because time was up: do it again"
            self.message_user(request, left, messages.WARNING)
