"""Settings that can be read and yet are not right."""

import pytest
from pytest_django import Settings

from web.ops.doctor.configuration import look_at_settings
from web.ops.doctor.finding import Level


def found(settings: Settings, **changes: object) -> list[tuple[Level, str]]:
    for name, value in changes.items():
        setattr(settings, name, value)
    return [(finding.level, finding.found) for finding in look_at_settings()]


@pytest.fixture
def production(settings: Settings) -> Settings:
    settings.IN_PRODUCTION, settings.HTTPS = True, True
    settings.PUBLIC_URL, settings.ALLOWED_HOSTS = "https://warren.example.org", [".example.org"]
    return settings


def test_a_sound_installation_is_well(production: Settings) -> None:
    assert found(production) == [(Level.OK, "production; web is at https://warren.example.org")]


def test_an_address_that_web_itself_refuses_is_a_problem(production: Settings) -> None:
    ((level, words),) = found(production, ALLOWED_HOSTS=["localhost"])
    assert level == Level.PROBLEM
    assert "warren.example.org is not in ALLOWED_HOSTS" in words


def test_an_address_of_ipv6_is_allowed_in_its_brackets(production: Settings) -> None:
    here = {"PUBLIC_URL": "http://[::1]:8000", "ALLOWED_HOSTS": ["localhost", "[::1]"]}
    assert found(production, **here)[0][0] == Level.OK
    assert "[::1] is not in" in found(production, ALLOWED_HOSTS=["::1"])[0][1]


def test_production_shows_no_tracebacks(production: Settings) -> None:
    assert found(production, DEBUG=True)[0][0] == Level.PROBLEM


def test_production_is_warned_of_http_unless_on_this_machine(production: Settings) -> None:
    here = {"HTTPS": False, "PUBLIC_URL": "http://127.0.0.1:8000", "ALLOWED_HOSTS": ["127.0.0.1"]}
    assert found(production, **here)[0][0] == Level.OK
    there = {"PUBLIC_URL": "http://warren.example.org", "ALLOWED_HOSTS": [".example.org"]}
    assert found(production, **there)[0][0] == Level.WARNING
