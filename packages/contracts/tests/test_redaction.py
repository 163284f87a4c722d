"""What a log line may not say."""

from runtime.logging import redact


def redacted(**event: object) -> dict[str, object]:
    return dict(redact(None, "info", event))


def test_values_with_secret_names_are_hidden() -> None:
    event = redacted(
        password="planted", access_token="planted", Authorization="planted", user="ada"
    )
    assert event == {"password": "…", "access_token": "…", "Authorization": "…", "user": "ada"}


def test_passwords_in_addresses_are_hidden_wherever_they_stand() -> None:
    event = redacted(
        event="cannot reach amqp://warren:planted@localhost:5672/warren",
        exception="… smtp://u:planted@host failed, then postgresql://:planted@host/db",
    )
    assert event["event"] == "cannot reach amqp://warren:…@localhost:5672/warren"
    assert "planted" not in str(event)


def test_an_address_without_a_password_stays_as_it_is() -> None:
    text = "see http://localhost:8000/api/docs/ and mailto:ada@example.org"
    assert redacted(event=text)["event"] == text


def test_what_is_no_text_stays_as_it_is() -> None:
    assert redacted(count=3, ratio=0.5, nothing=None) == {
        "count": 3, "ratio": 0.5, "nothing": None,
    }  # fmt: skip
