"""The admin of jobs and of the catalogue."""

from django.contrib import admin

from web.jobs.models import Computation, Job
from web.messaging.admin import ReadOnlyAdmin, TaskAdmin


@admin.register(Job)
class JobAdmin(TaskAdmin):
    """All users' jobs."""

    list_display = ["id", "owner", "computation", "state", "attempt", "worker", "created_at",
                    "finished_at"]  # fmt: skip
    list_filter = ["state", "computation"]
    list_select_related = ["owner"]
    search_fields = ["id", "owner__email"]


@admin.register(Computation)
class ComputationAdmin(ReadOnlyAdmin):
    """The catalogue, as the workers have announced it."""

    list_display = ["name", "summary", "available", "soft_time_limit", "time_limit",
                    "memory_limit", "announced_at"]  # fmt: skip
