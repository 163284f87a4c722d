"""Operators see tasks that have no table of their own."""

from django.contrib import admin

from contracts.tasks import TASKS
from web.messaging.admin import TaskAdmin
from web.tasks.messages import StoredMessage
from web.tasks.models import Task


@admin.register(Task)
class PlainTaskAdmin(TaskAdmin):
    """All tasks, with as much of their arguments as the contract shows."""

    list_display = ["id", "name", "owner", "state", "attempt", "worker", "created_at",
                    "finished_at"]  # fmt: skip
    list_filter = ["state", "name"]
    list_select_related = ["owner"]
    search_fields = ["id", "owner__email"]
    exclude = ["arguments", "message"]
    readonly_fields = ["shown_arguments", *TaskAdmin.readonly_fields]

    @admin.display(description="arguments")
    def shown_arguments(self, task: Task) -> str:
        """Hide what Flower may not show either."""
        if task.message:
            return str(StoredMessage.of(task.message).headers["kwargsrepr"])
        contract = TASKS.get(task.name)
        return contract.shown_arguments(task.arguments) if contract else "…"
