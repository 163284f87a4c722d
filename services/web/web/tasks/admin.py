"""Operators see tasks that have no table of their own."""

from collections.abc import Callable

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from web.messaging.admin import ReadOnlyAdmin, TaskAdmin
from web.postgresql import clock
from web.tasks import periodic
from web.tasks.messages import StoredMessage
from web.tasks.models import PeriodicTask, Task


@admin.register(Task)
class PlainTaskAdmin(TaskAdmin):
    """The tasks, with the arguments that may be shown."""

    list_display = ["id", "name", "owner", "state", "attempt", "worker", "created_at",
                    "finished_at"]  # fmt: skip
    list_filter = ["state", "name"]
    list_select_related = ["owner"]
    search_fields = ["id", "owner__email"]
    exclude = ["message"]
    readonly_fields = ["shown_arguments", *TaskAdmin.readonly_fields]

    @admin.display(description="arguments")
    def shown_arguments(self, task: Task) -> str:
        """Show the arguments as Flower does."""
        return str(StoredMessage.of(task.message).headers["kwargsrepr"]) if task.message else "…"


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(ReadOnlyAdmin):
    """Periodic tasks, which an operator may pause, resume and run now."""

    list_display = ["name", "schedule", "next_due", "last_due", "last_task", "paused"]
    actions = ["run_now", "pause", "resume"]

    @admin.display(description="schedule")
    def schedule(self, row: PeriodicTask) -> str:
        """Show the schedule that the code declares."""
        entry = periodic.entries().get(row.name)
        return f"{entry.cron.expression} {entry.cron.zone}" if entry else "not declared any more"

    @admin.display(description="next due (UTC)")
    def next_due(self, row: PeriodicTask) -> str:
        """Show when it is due next."""
        entry = periodic.entries().get(row.name)
        due = entry.cron.next(clock.now()) if entry and not row.paused else None
        return f"{due:%Y-%m-%d %H:%M}" if due else "never"

    def has_manage_permission(self, request: HttpRequest) -> bool:
        """Whether the user may run, pause and resume: has the permission to change them."""
        return request.user.has_perm("tasks.change_periodictask")

    @admin.action(description="Run the selected now", permissions=["manage"])
    def run_now(self, request: HttpRequest, rows: QuerySet[PeriodicTask]) -> None:
        """Run them once, independently of their schedules."""
        self._each(request, rows, periodic.run_now, "was sent")

    @admin.action(description="Pause the selected", permissions=["manage"])
    def pause(self, request: HttpRequest, rows: QuerySet[PeriodicTask]) -> None:
        """Skip their due times from now on."""
        self._each(request, rows, periodic.pause, "is paused")

    @admin.action(description="Resume the selected", permissions=["manage"])
    def resume(self, request: HttpRequest, rows: QuerySet[PeriodicTask]) -> None:
        """Let their due times count again, from now on."""
        self._each(request, rows, periodic.resume, "goes on")

    def _each(
        self,
        request: HttpRequest,
        rows: QuerySet[PeriodicTask],
        act: Callable[[str], object],
        done: str,
    ) -> None:
        for row in rows:
            try:
                act(row.name)
            except KeyError:
                self.message_user(request, f"{row} is not declared any more", messages.WARNING)
            else:
                self.message_user(request, f"{row} {done}")
