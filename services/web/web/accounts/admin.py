"""Operators see users, make some by hand and close accounts."""

from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from web.accounts import limits
from web.accounts.models import User

ACCESS = ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")


class OperatorSignInForm(AdminAuthenticationForm):
    """The administration's sign-in, limited together with that of the API."""

    def clean(self) -> dict[str, Any]:
        """Count the attempt unless it succeeds."""
        who = self.cleaned_data.get("username", "").lower()
        attempt = limits.consume("sign_in_failures", who, settings.THROTTLE_SIGN_IN_FAILURES)
        if not attempt.allowed:
            raise ValidationError("Too many failed attempts. Try again later.", "throttled")
        cleaned = super().clean()
        attempt.refund()
        return cleaned


admin.site.login_form = OperatorSignInForm


@admin.register(User)
class UserAdmin(DjangoUserAdmin):  # type: ignore[type-arg]
    """Django's own, without the names that we do not ask for."""

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
        """Keep the address of an account as it is: its verification belongs to it."""
        return [*self.readonly_fields, "email"] if obj else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Count an address that an operator typed in as verified."""
        super().save_model(request, obj, form, change)
        if not change:
            EmailAddress.objects.create(user=obj, email=obj.email, primary=True, verified=True)
