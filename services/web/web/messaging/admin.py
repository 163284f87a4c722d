"""Operators see the outbox, and replay or discard dead letters."""

from typing import Any

import structlog
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import BadRequest, ValidationError
from django.core.validators import ProhibitNullCharactersValidator
from django.db import DataError
from django.db.models import BinaryField, JSONField, Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join

from web.messaging.letters import redaction, repair
from web.messaging.letters.redaction import admin_page
from web.messaging.models import DeadLetter, OutboxMessage, Worker

log = structlog.get_logger("web.problems")
MOST_MESSAGES = 10  # about refused letters: they travel in a cookie
validate_no_null_characters = ProhibitNullCharactersValidator()
LARGE_TEXTS = ("traceback", "error_message")


class SelectingAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Lists that answer 400 to a selection or a filter with an invalid value."""

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Make the list. Raises BadRequest for a filter value out of range."""
        try:
            return super().get_changelist_instance(request)
        except (DataError, OverflowError, ValueError) as error:
            if not request.GET:  # no value is to blame
                raise
            log.warning("refused for a value in the address", exc_info=error)
            raise BadRequest("a value in the address is out of range") from error

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list, or act on it. Raises BadRequest if a selected key is not valid."""
        for key in request.POST.getlist(ACTION_CHECKBOX_NAME):
            try:
                self.opts.pk.clean(key, None)
                validate_no_null_characters(key)
            except ValidationError as error:
                raise BadRequest(f"{key!r} is no key") from error
        return super().changelist_view(request, extra_context)


class ReadOnlyAdmin(SelectingAdmin):
    """Rows that the system writes and people only read."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        """Defer large fields missing from the list; a page that shows one fetches it."""
        large = [
            field.name
            for field in self.opts.concrete_fields
            if isinstance(field, JSONField | BinaryField) or field.name in LARGE_TEXTS
        ]
        return super().get_queryset(request).defer(*{*large} - {*self.list_display})

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
    """Messages that the broker has not confirmed yet."""

    list_display = ["id", "routing_key", "task_id", "created_at", "due_at", "leased_until",
                    "refusals"]  # fmt: skip
    fields = [*list_display, "exchange", "last_refusal"]  # type: ignore[list-item]
    list_filter = ["routing_key"]
    ordering = ["due_at", "id"]


class TaskAdmin(ReadOnlyAdmin):
    """Rows with the id of a task, shown with the task's dead letters."""

    ordering = ["-created_at", "-id"]
    readonly_fields = ["dead_letters"]
    show_full_result_count = False  # counting a million rows takes longer than showing a page

    @admin.display(description="dead letters")
    def dead_letters(self, row: Model) -> str:
        """Link to each dead letter of the task, newest first."""
        letters = DeadLetter.objects.filter(task_id=row.pk)
        links = [(admin_page(letter), letter.pk, letter.reason, letter.state) for letter in letters]
        return format_html_join(", ", '<a href="{}">{}</a> {} ({})', links) or "none"


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    """The workers, as their last reports describe them."""

    list_display = ["node", "service", "seen_at", "clock_offset", "checks"]
    list_filter = ["service"]


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    """Dead letters, which an operator replays or discards."""

    list_display = ["id", "created_at", "state", "reason", "task", "task_id", "detail"]
    list_filter = ["state", "reason", "task", "queue", "created_at"]
    search_fields = ["task_id", "detail", "routing_key"]
    show_full_result_count = False  # counting a million rows takes longer than showing a page
    fields = ["state", "reason", "detail", "task", "task_id", "subject", "arguments", "queue",
              "exchange", "routing_key", "shown_headers", "properties", "created_at", "handled_at",
              "handled_by"]  # fmt: skip
    readonly_fields = ["subject", "arguments", "shown_headers"]
    actions = ["replay", "discard"]

    @admin.display(description="job or mail")
    def subject(self, letter: DeadLetter) -> str:
        """Link to the job or mail that the message belonged to."""
        row = redaction.subject(letter)
        page = admin_page(row) if row else ""
        return format_html('<a href="{}">{}</a>', page, row) if page else str(row or "none")

    @admin.display(description="arguments, without secrets")
    def arguments(self, letter: DeadLetter) -> str:
        """Show the arguments that the task's contract does not hide."""
        return redaction.shown_body(letter)

    @admin.display(description="headers, without secrets")
    def shown_headers(self, letter: DeadLetter) -> str:
        """Show the headers, with values only of those that Warren and RabbitMQ set."""
        return redaction.pretty(redaction.shown_headers(letter))

    def has_manage_permission(self, request: HttpRequest) -> bool:
        """Whether the user may replay and discard: has the permission to change dead letters."""
        return request.user.has_perm("messaging.change_deadletter")

    @admin.action(description="Replay the selected dead letters", permissions=["manage"])
    def replay(self, request: HttpRequest, letters: QuerySet[DeadLetter]) -> None:
        """Send them again through the outbox."""
        self._sweep(request, letters, repair.replay, "replayed")

    @admin.action(description="Discard the selected dead letters", permissions=["manage"])
    def discard(self, request: HttpRequest, letters: QuerySet[DeadLetter]) -> None:
        """Give them up; their records stay."""
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
