"""Web's forms, its outbox and the mailer take the same addresses, in the same spelling."""

import os
import sys
from collections.abc import Callable, Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contracts.addresses import InvalidAddressError
from local.environment import process_environment
from local.settings import Settings
from mailer.addresses import parse_address

from .support.process import CHECKOUT
from .support.program import Interpreter

# Answers each line, a text, with what becomes of it in a form and in a mail that is queued.
WEB = """
import json, sys
import django
django.setup()
from rest_framework.serializers import ValidationError
from contracts.addresses import InvalidAddressError
from contracts.mails import Welcome
from web.accounts.serializers import AddressField
from web.mail import sending

def become(function, text):
    try:
        return function(text)
    except (ValidationError, InvalidAddressError):
        return None

sending.dispatch = sending.Email.save = lambda *_, **__: None  # nothing is stored or sent
for line in sys.stdin:
    text = json.loads(line)
    form = become(AddressField().run_validation, text)
    queued = become(lambda text: sending.queue(Welcome(), text).recipient, text)
    print(json.dumps([form, queued]), flush=True)
"""
LETTERS = st.characters() | st.sampled_from('abcXYZ019.-_+"@[]()<> ßéİﬁ\u0301\u200b\ufeff\uff41')
DOMAINS = st.sampled_from(["example.org", "Bücher.example", "\uff45xample.org", "xn--a.org"])
TEXTS = (
    st.emails()
    | st.builds("{}@{}".format, st.text(LETTERS, max_size=10), DOMAINS)
    | st.builds("x@{}.org".format, st.text(LETTERS, max_size=10))
)
Web = Callable[[str], list[str | None]]


@pytest.fixture(scope="module")
def web(installation: Settings) -> Iterator[Web]:
    """Ask a process of web's what an address is to it."""
    environment = process_environment(installation, os.environ)
    environment["DJANGO_SETTINGS_MODULE"] = "web.settings"
    command = [sys.executable, "-c", WEB]
    with Interpreter(command, environment, CHECKOUT / "services/web") as process:
        yield process.ask


def to_the_mailer(text: str) -> str | None:
    try:
        return parse_address(text).addr_spec
    except InvalidAddressError:
        return None


@given(text=TEXTS)
@example("Ada@Bücher.example")
@example("\uff41da@example.org")
@example('"a"@example.org')
@example("x@localhost")
@example("a@exam\u200bple.org")
@example("a\0@example.org")
@example("\ud800@example.org")
@example("a" * 250 + "@example.org")
def test_an_address_is_the_same_to_web_to_the_outbox_and_to_the_mailer(web: Web, text: str) -> None:
    address = to_the_mailer(text)
    assert web(text) == [address, address]
    if address is not None:
        assert to_the_mailer(address) == address
