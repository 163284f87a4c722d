"""The admin of mails: their states and the mail servers' answers, never their contents."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from web.mail import repeating
from web.mail.models import Email, EmailAttempt
from web.messaging.admin import TaskAdmin
from web.messaging.letters import repair


class EmailAttemptInline(admin.TabularInline):  # type: ignore[type-arg]
    """The history of a mail."""

    model = EmailAttempt
    fields = ["number", "at", "outcome", "answer", "worker"]
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Nobody adds a row by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Nobody changes a row by hand."""
        return False


@admin.register(Email)
class EmailAdmin(TaskAdmin):
    """All mails."""

    list_display = ["id", "created_at", "template", "recipient", "state", "attempt",
                    "next_attempt_at", "answer"]  # fmt: skip
    list_filter = ["state", "template", "uncertain"]
    search_fields = ["id", "recipient", "message_id"]
    date_hierarchy = "created_at"
    fields = ["id", "user", "template", "recipient", "state", "attempt", "answer", "dead_letters",
              "message_id", "uncertain", "created_at", "queued_at", "next_attempt_at", "sent_at",
              "failed_at"]  # fmt: skip
    inlines = [EmailAttemptInline]
    actions = ["send_again"]

    def has_manage_permission(self, request: HttpRequest) -> bool:
        """Whether the user may send mails again: the permission to change mails."""
        return request.user.has_perm("mail.change_email")

    @admin.action(description="Send the selected failed mails again", permissions=["manage"])
    def send_again(self, request: HttpRequest, mails: QuerySet[Email]) -> None:
        """Queue mails again that have failed and still have their contents."""
        ids = list(mails.order_by("created_at").values_list("pk", flat=True))
        by = request.user.get_username()
        queued = repeating.send_again(ids, by, seconds=repair.REQUEST_BUDGET)
        self.message_user(request, f"{queued} mails are queued again")
        if left := len(ids) - queued:
            explanation = (
                f"{left} were left: not failed, without contents by now, with contents of which no "
                "mail can be made (its answer says why), or time was up"
            )
            self.message_user(request, explanation, messages.WARNING)
