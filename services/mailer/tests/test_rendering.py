"""Every mail template, filled in and refused."""

import re
from html.parser import HTMLParser

import pytest

from contracts.errors import MalformedMessageError
from contracts.mails import (
    MAILS,
    AccountExists,
    Mail,
    NoAccount,
    PasswordChanged,
    PasswordReset,
    RegisterAgain,
    VerifyEmail,
    Welcome,
)
from mailer.rendering import TEMPLATES, render

MAIL = VerifyEmail(
    verification_url="https://warren.example.org/verify?key=MQ:1abc&x=<1>",
    verification_key="MQ:1abc",
    expires_in_days=3,
)
VERIFY = MAIL.context()
LOGIN = {"login_url": "https://warren.example.org/login?next=/&x=<1>"}
SAMPLES: list[Mail] = [
    MAIL,
    PasswordReset(
        reset_url="https://warren.example.org/password/reset?key=MQ-1&x=<1>",
        reset_key="MQ-1",
        expires_in_minutes=60,
    ),
    PasswordChanged(reset_url="https://warren.example.org/password?x=<1>"),
    *(
        mail(**values)
        for mail in (Welcome, AccountExists, RegisterAgain, NoAccount)
        for values in ({}, LOGIN)
    ),
]


class Page(HTMLParser):
    """Collects what a reader's mail program makes of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)
        self.links += [value for name, value in attrs if name == "href" and value]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())


def test_every_mail_of_the_contract_has_a_template() -> None:
    assert set(TEMPLATES) == set(MAILS) == {sample.template for sample in SAMPLES}


@pytest.mark.parametrize("sample", SAMPLES, ids=repr)
def test_every_template_has_a_subject_a_text_and_a_page(sample: Mail) -> None:
    mail = render(sample.template, sample.context())
    page = Page(mail.html)
    assert mail.subject
    assert "\n" not in mail.subject
    assert mail.text.endswith("please do not answer it.\n")
    assert "\n\n\n" not in mail.text
    assert "{{" not in mail.text + mail.html
    assert page.open == []
    assert page.words.count(mail.subject) == 2  # title and heading
    assert re.search(r'<html lang="en">', mail.html)


@pytest.mark.parametrize("name", ["welcome", "account_exists", "register_again"])
def test_the_sign_in_link_is_shown_in_both_bodies_if_there_is_one(name: str) -> None:
    assert LOGIN["login_url"] in render(name, LOGIN).text
    assert Page(render(name, LOGIN).html).links == [LOGIN["login_url"]]
    assert Page(render(name, {}).html).links == []


def test_the_verification_mail_shows_the_link_and_the_bare_key() -> None:
    mail = render("verify_email", VERIFY)
    page = Page(mail.html)
    assert VERIFY["verification_url"] in mail.text.splitlines()
    assert "Your key: MQ:1abc" in mail.text.splitlines()
    assert set(page.links) == {VERIFY["verification_url"]}
    assert VERIFY["verification_key"] in page.words


@pytest.mark.parametrize(("days", "shown"), [("1", "for 1 day."), ("3", "for 3 days.")])
def test_the_verification_mail_says_how_long_the_key_holds(days: str, shown: str) -> None:
    mail = render("verify_email", VERIFY | {"expires_in_days": days})
    assert shown in mail.text
    assert shown in mail.html


def test_only_the_page_is_escaped() -> None:
    mail = render("verify_email", VERIFY | {"verification_key": "<b>&"})
    assert "Your key: <b>&" in mail.text
    assert "<b>" not in mail.html


@pytest.mark.parametrize("missing", sorted(VERIFY))
def test_a_missing_value_is_named(missing: str) -> None:
    context = {name: value for name, value in VERIFY.items() if name != missing}
    with pytest.raises(MalformedMessageError, match=f"'verify_email': '{missing}' is undefined"):
        render("verify_email", context)


@pytest.mark.parametrize("name", ["goodbye", "", "layout.txt", "../templates/welcome", "welcome/"])
def test_an_unknown_template_is_named(name: str) -> None:
    with pytest.raises(MalformedMessageError, match="no mail template") as caught:
        render(name, {})
    assert repr(name) in str(caught.value)
