"""allauth sends no mail but through the outbox."""

import pytest
from allauth.account.adapter import get_adapter
from django.core.mail import send_mail

from web.accounts.adapter import OutboxAccountAdapter, UnmappedMailError
from web.mail.backend import DirectMailError, OutboxOnlyBackend
from web.mail.models import Email


def test_the_adapter_is_the_one_that_allauth_uses() -> None:
    assert isinstance(get_adapter(), OutboxAccountAdapter)


@pytest.mark.django_db
def test_a_mail_without_a_template_is_a_loud_error() -> None:
    with pytest.raises(UnmappedMailError, match=r"'account/email/password_changed' is not mapped"):
        get_adapter().send_mail("account/email/password_changed", "ada@example.org", {})
    assert not Email.objects.exists()


def test_djangos_own_way_to_send_mail_is_closed() -> None:
    with pytest.raises(DirectMailError, match=r"web\.mail\.sending\.queue"):
        send_mail(
            "Hello", "…", "from@example.org", ["to@example.org"], connection=OutboxOnlyBackend()
        )
