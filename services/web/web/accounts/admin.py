"""The admin of users: operators see them, make some by hand and close accounts."""

from typing import Any, cast

import structlog
from allauth.account.admin import EmailAddressAdmin as AllauthEmailAddressAdmin
from allauth.account.models import EmailAddress
from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest

from web.accounts.addresses import spelling
from web.accounts.attempts import Attempt, TooManyFailuresError, account
from web.accounts.models import User
from web.accounts.throttles import SignInThrottle
from web.clients import client_network
from web.messaging.admin import SelectingAdmin

log = structlog.get_logger("web.security")

ACCESS = ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")


class OperatorSignInForm(AdminAuthenticationForm):
    """The admin's sign-in, limited together with that of the API."""

    def clean(self) -> dict[str, Any]:
        """Count the attempt unless it succeeds."""
        request = cast("HttpRequest", self.request)
        network, email = client_network(request), spelling(self.cleaned_data.get("username", ""))
        self.cleaned_data["username"] = email
        try:
            if not SignInThrottle().allow_request(request, self):
                raise ValidationError("Too many attempts. Try again in a minute.", "throttled")
            attempt = Attempt(email, network)
        except TooManyFailuresError as error:
            event = "operator's sign-in refused, after too many failures"
            log.warning(event, **account(email), network=network)
            raise ValidationError(
                "Too many failed attempts. Try again later.", "throttled"
            ) from error
        try:
            cleaned = super().clean()
        except ValidationError:
            log.warning("operator's sign-in failed", **account(email), network=network)
            raise
        attempt.succeed()
        user = self.get_user()
        log.info("operator signed in", user=str(user.pk) if user else "", network=network)
        return cleaned


admin.site.login_form = OperatorSignInForm


class AccountAdmin(SelectingAdmin):
    """Accounts, or rows that belong to one. Those of staff only a superuser touches.

    By a new password an operator could take over a superuser's account, and without a verified
    address its owner gets no token.
    """

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether the user may change rows, or this one."""
        return super().has_change_permission(request, obj) and _may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether the user may delete rows, or this one."""
        return super().has_delete_permission(request, obj) and _may_touch(request, obj)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Store a row. Raises PermissionDenied if the form gives it to an account of staff."""
        if not _may_touch(request, obj):
            raise PermissionDenied
        super().save_model(request, obj, form, change)


@admin.register(User)
class UserAdmin(AccountAdmin, DjangoUserAdmin):  # type: ignore[type-arg]
    """Django's own, without first and last names, which Warren does not ask for."""

    ordering = ["-created_at"]
    list_display = ["email", "is_active", "is_staff", "created_at", "last_login"]
    list_filter = ["is_active", "is_staff", "is_superuser"]
    search_fields = ["email", "id"]
    show_full_result_count = False  # counting a million rows takes longer than showing a page
    readonly_fields = ["id", "created_at", "last_login"]
    fieldsets = [
        (None, {"fields": ["id", "email", "password", "created_at", "last_login"]}),
        ("Access", {"fields": ACCESS}),
    ]
    add_fieldsets = [(None, {"fields": ["email", "usable_password", "password1", "password2"]})]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        """Return the fields that cannot be changed.

        The address of an account stays, because its verification belongs to it. Only superusers
        give rights: other operators could give themselves every permission.
        """
        rights = [] if _is_superuser(request) else [name for name in ACCESS if name != "is_active"]
        return [*self.readonly_fields, *(["email"] if obj else []), *rights]

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Count an address that an operator typed in as verified."""
        super().save_model(request, obj, form, change)
        if not change:
            EmailAddress.objects.create(user=obj, email=obj.email, primary=True, verified=True)


admin.site.unregister([Group, EmailAddress])


@admin.register(EmailAddress)
class EmailAddressAdmin(AccountAdmin, AllauthEmailAddressAdmin):
    """Allauth's own, with a permission for its action."""

    @admin.action(description="Mark selected addresses as verified", permissions=["change"])
    def make_verified(self, request: HttpRequest, queryset: QuerySet[EmailAddress]) -> None:
        """Verify them by hand. Raises PermissionDenied if one belongs to staff."""
        if not all(_may_touch(request, row) for row in queryset.select_related("user")):
            raise PermissionDenied
        super().make_verified(request, queryset)


@admin.register(Group)
class GroupAdmin(SelectingAdmin, DjangoGroupAdmin):
    """Django's own, for superusers only: members could give themselves every permission."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Only a superuser makes groups."""
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """Only a superuser changes them."""
        return _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """Only a superuser deletes them."""
        return _is_superuser(request)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))


def _may_touch(request: HttpRequest, row: User | EmailAddress | None) -> bool:
    if row is None or _is_superuser(request):
        return True
    owner = row.user if isinstance(row, EmailAddress) else row
    return not (owner.is_staff or owner.is_superuser)
