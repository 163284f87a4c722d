"""The mails that the mailer can render, and the values that each needs."""

from typing import Any, ClassVar

import msgspec

from contracts.errors import MalformedMessageError


class Mail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The values of a mail. ``template`` is a folder of the mailer's ``templates/``."""

    template: ClassVar[str]

    def context(self) -> dict[str, str]:
        """Return the values as texts, for a task's payload; those not given are left out.

        Raises MalformedMessageError if a value has the wrong type. Its text names the value but
        does not show it.
        """
        values: dict[str, Any] = msgspec.to_builtins(self)
        try:
            msgspec.convert(values, type(self))
        except msgspec.ValidationError as error:
            raise MalformedMessageError(f"mail {self.template!r}: {error}") from error
        return {name: str(value) for name, value in values.items()}


class VerifyEmail(Mail, frozen=True, kw_only=True):
    """Ask somebody who has registered to confirm the address, by link, key or code."""

    template = "verify_email"
    verification_url: str
    verification_key: str
    verification_code: str | None = None
    expires_in_days: int


class Welcome(Mail, frozen=True, kw_only=True):
    """Welcome somebody whose address is confirmed."""

    template = "welcome"
    login_url: str | None = None


class AccountExists(Mail, frozen=True, kw_only=True):
    """Tell somebody who registers again that the address has an account."""

    template = "account_exists"
    login_url: str | None = None


class RegisterAgain(Mail, frozen=True, kw_only=True):
    """Tell somebody who asks for a new link that there is no registration for it."""

    template = "register_again"
    login_url: str | None = None


class PasswordReset(Mail, frozen=True, kw_only=True):
    """Let somebody choose a new password, by link or key."""

    template = "password_reset"
    reset_url: str
    reset_key: str
    expires_in_minutes: int


class PasswordChanged(Mail, frozen=True, kw_only=True):
    """Tell the owner of an account that its password was changed."""

    template = "password_changed"
    reset_url: str


class NoAccount(Mail, frozen=True, kw_only=True):
    """Tell somebody who asks for a new password that the address has no account."""

    template = "no_account"
    login_url: str | None = None


MAILS = {
    mail.template: mail
    for mail in (
        *(VerifyEmail, Welcome, AccountExists, RegisterAgain),
        *(PasswordReset, PasswordChanged, NoAccount),
    )
}
