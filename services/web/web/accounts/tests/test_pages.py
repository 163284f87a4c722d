"""A person clicks the link of the verification mail, with a browser that runs no scripts."""

from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from django.test import Client
from pytest_django import Settings

from runtime.rates import Rate
from web.accounts.keys import key_of
from web.accounts.models import User
from web.accounts.tests.factories import make_registration
from web.mail.models import Email

pytestmark = pytest.mark.django_db


class Form(HTMLParser):
    """The first form of a page, as a browser would send it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.scripts = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form" and not self.action:
            assert attributes["method"] == "post"
            self.action = attributes["action"]
        elif tag == "input":
            self.fields[attributes["name"]] = attributes.get("value", "")
        elif tag == "script":
            self.scripts += 1


@pytest.fixture
def browser() -> Client:
    return Client(enforce_csrf_checks=True)


def is_verified() -> bool:
    return User.objects.filter(email="ada@example.org").exists()


def test_the_link_of_the_mail_leads_to_a_button_that_verifies(browser: Client) -> None:
    make_registration()
    browser.post("/verify/resend", {"email": "ada@example.org"})
    email = Email.objects.get()
    assert email.context is not None
    link = urlsplit(email.context["verification_url"])
    page = browser.get(f"{link.path}?{link.query}")
    form = Form(page.content.decode())
    assert form.scripts == 0
    answer = browser.post(form.action, form.fields)
    assert answer.status_code == 200
    assert "ada@example.org" in answer.content.decode()
    assert is_verified()


def test_opening_the_link_alone_changes_nothing(browser: Client) -> None:
    key = key_of(make_registration())
    answer = browser.get("/verify", {"key": key})
    assert answer.status_code == 200
    assert not is_verified()
    assert "no-store" in answer["Cache-Control"]
    assert not answer.cookies


def test_a_link_that_does_not_hold_leads_to_a_new_one(browser: Client) -> None:
    make_registration()
    answer = browser.post("/verify", {"key": "expired"})
    assert answer.status_code == 400
    form = Form(answer.content.decode())
    assert form.action == "/verify/resend"
    answer = browser.post(form.action, {"email": "Ada@example.org"})
    assert answer.status_code == 200
    assert Email.objects.get().template == "verify_email"


def test_the_page_tells_nobody_whether_an_address_is_known(browser: Client) -> None:
    make_registration()
    answers = [
        browser.post("/verify/resend", {"email": f"{name}@example.org"})
        for name in ("ada", "nobody")
    ]
    assert answers[0].content == answers[1].content


def test_what_is_typed_in_is_shown_again_without_harm(browser: Client) -> None:
    answer = browser.post("/verify/resend", {"email": '"><script>alert(1)</script>'})
    assert answer.status_code == 400
    assert Form(answer.content.decode()).scripts == 0


@pytest.mark.parametrize("key", ['"><script>alert(1)</script>', "", "\0", "x" * 5000])
def test_any_key_is_shown_without_harm(browser: Client, key: str) -> None:
    assert Form(browser.get("/verify", {"key": key}).content.decode()).scripts == 0
    assert browser.post("/verify", {"key": key}).status_code == 400


def test_keys_cannot_be_tried_for_long(browser: Client, settings: Settings) -> None:
    settings.THROTTLE_VERIFICATION = Rate(2, seconds=60)
    answers = [browser.post("/verify", {"key": "guess"}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [400, 400, 429]
    assert 0 < int(answers[2]["Retry-After"]) <= 61
