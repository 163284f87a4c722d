"""How often one may try to sign in."""

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from runtime.rates import Rate
from web.accounts.attempts import REMEMBERED
from web.accounts.models import KnownNetwork
from web.accounts.tests.factories import PASSWORD, make_user, sign_in, sign_in_to_the_administration

pytestmark = pytest.mark.django_db


def from_elsewhere(number: int, email: str, password: str) -> int:
    client = APIClient(REMOTE_ADDR=f"198.51.100.{number}")
    body = {"email": email, "password": password}
    return client.post("/api/v1/auth/token", body).status_code


def test_repeated_failures_close_an_account_to_their_client_alone(settings: Settings) -> None:
    settings.THROTTLE_SIGN_IN_FAILURES = Rate(3, seconds=600)
    make_user()
    make_user("grace@example.org")
    for _ in range(3):
        assert sign_in(password="wrong password").status_code == 401
    answer = sign_in()
    assert (answer.status_code, answer.json()["code"]) == (429, "throttled")
    assert 0 < int(answer["Retry-After"]) <= 600
    assert sign_in("\uff41da@example.org").status_code == 429
    assert sign_in("grace@example.org").status_code == 200
    assert from_elsewhere(1, "ada@example.org", PASSWORD) == 200


def test_failures_from_everywhere_close_an_account_but_to_networks_it_knows(
    settings: Settings,
) -> None:
    settings.THROTTLE_SIGN_IN_FAILURES_ADDRESS = Rate(5, seconds=600)
    make_user()
    assert from_elsewhere(99, "ada@example.org", PASSWORD) == 200
    answers = [from_elsewhere(number, "ada@example.org", "wrong") for number in range(8)]
    assert answers == [401] * 5 + [429] * 3
    assert from_elsewhere(50, "ada@example.org", PASSWORD) == 429
    assert from_elsewhere(99, "ada@example.org", PASSWORD) == 200


def test_a_network_that_is_known_is_held_to_its_own_failures(settings: Settings) -> None:
    settings.THROTTLE_SIGN_IN_FAILURES = Rate(3, seconds=600)
    make_user()
    assert sign_in().status_code == 200
    assert [sign_in(password="wrong").status_code for _ in range(4)] == [401] * 3 + [429]


def test_networks_are_forgotten_in_the_end() -> None:
    make_user()
    sign_in()
    KnownNetwork.objects.update(seen_at=timezone.now() - 2 * REMEMBERED)
    assert from_elsewhere(1, "ada@example.org", PASSWORD) == 200
    assert KnownNetwork.objects.count() == 1
    assert "ada" not in KnownNetwork.objects.get().key


def test_successes_do_not_count_as_failures(settings: Settings) -> None:
    settings.THROTTLE_SIGN_IN_FAILURES = Rate(2, seconds=600)
    settings.THROTTLE_SIGN_IN_FAILURES_ADDRESS = Rate(2, seconds=600)
    make_user()
    assert [sign_in().status_code for _ in range(5)] == [200] * 5


def test_requests_of_one_client_are_limited_others_are_not(settings: Settings) -> None:
    settings.THROTTLE_SIGN_IN = Rate(2, seconds=60)
    make_user()
    assert [sign_in().status_code for _ in range(3)] == [200, 200, 429]
    other = APIClient(REMOTE_ADDR="198.51.100.7")
    credentials = {"email": "ada@example.org", "password": PASSWORD}
    assert other.post("/api/v1/auth/token", credentials).status_code == 200


def test_a_client_cannot_hide_behind_a_forged_header(settings: Settings) -> None:
    settings.THROTTLE_SIGN_IN = Rate(1, seconds=60)
    make_user()
    body = {"email": "ada@example.org", "password": PASSWORD}
    answers = [
        APIClient().post("/api/v1/auth/token", body, headers={"X-Forwarded-For": f"192.0.2.{n}"})
        for n in range(2)
    ]
    assert [answer.status_code for answer in answers] == [200, 429]


def test_behind_a_proxy_the_client_is_the_one_that_the_proxy_saw(settings: Settings) -> None:
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": 1}
    settings.THROTTLE_SIGN_IN = Rate(1, seconds=60)
    make_user()
    body = {"email": "ada@example.org", "password": PASSWORD}
    seen = ["192.0.2.1", "forged, 192.0.2.2", "also forged, 192.0.2.1:4711"]
    answers = [
        APIClient().post("/api/v1/auth/token", body, headers={"X-Forwarded-For": addresses})
        for addresses in seen
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 429]


def test_the_administrations_sign_in_is_limited_together_with_the_apis(
    settings: Settings,
) -> None:
    settings.THROTTLE_SIGN_IN_FAILURES = Rate(2, seconds=600)
    make_user(staff=True)
    sign_in(password="wrong password")
    form = {"username": "Ada@example.org", "password": "wrong password"}
    assert "correct" in Client().post("/admin/login/", form).content.decode()
    form["password"] = PASSWORD
    answer = Client().post("/admin/login/", form)
    assert answer.status_code == 200
    assert "Too many failed attempts" in answer.content.decode()


def test_the_administration_stays_open_to_networks_that_the_account_knows(
    settings: Settings,
) -> None:
    settings.THROTTLE_SIGN_IN_FAILURES_ADDRESS = Rate(5, seconds=600)
    make_user(staff=True)

    def attempt(number: int, password: str = PASSWORD) -> int:
        network = f"198.51.100.{number}"
        return sign_in_to_the_administration("ada@example.org", password, network)

    assert attempt(99) == 302
    for number in range(8):
        attempt(number, "wrong password")
    assert (attempt(50), attempt(99)) == (200, 302)


def test_the_administrations_sign_in_is_limited_by_client_too(settings: Settings) -> None:
    settings.THROTTLE_SIGN_IN = Rate(2, seconds=60)
    form = {"username": "nobody@example.org", "password": "wrong password"}
    pages = [Client().post("/admin/login/", form).content.decode() for _ in range(3)]
    assert ["Too many attempts" in page for page in pages] == [False, False, True]
