"""Payloads are checked on both sides, and shown without what nobody may see."""

import pytest

from contracts.errors import MalformedMessageError
from contracts.tasks import RUN_COMPUTATION, SEND_EMAIL, TASKS, RunComputation, SendEmail

MAIL = SendEmail(
    email_id="1", template="verify_email", recipient="ada@example.org", context={"key": "planted"}
)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_named_after_its_service(name: str) -> None:
    contract = TASKS[name]
    assert contract.name == name
    assert name.startswith(f"{contract.service}.")


def test_what_is_encoded_decodes_to_the_same_payload() -> None:
    assert SEND_EMAIL.decode(SEND_EMAIL.encode(MAIL)) == MAIL


def test_a_newer_sender_may_add_fields() -> None:
    assert SEND_EMAIL.decode(SEND_EMAIL.encode(MAIL) | {"priority": 5}) == MAIL


def test_a_payload_against_the_contract_is_not_sent() -> None:
    wrong = RunComputation(job_id=7, computation="add", arguments={})  # type: ignore[arg-type]
    with pytest.raises(MalformedMessageError, match=r"compute\.run.*job_id"):
        RUN_COMPUTATION.encode(wrong)


def test_a_malformed_payload_is_refused_by_field_and_without_its_values() -> None:
    arguments = SEND_EMAIL.encode(MAIL) | {"context": {"key": ["planted"]}}
    with pytest.raises(MalformedMessageError) as refusal:
        SEND_EMAIL.decode(arguments)
    assert "context" in str(refusal.value)
    assert "planted" not in str(refusal.value)


def test_recipient_and_context_of_a_mail_are_not_shown() -> None:
    shown = SEND_EMAIL.shown_arguments(SEND_EMAIL.encode(MAIL))
    assert "verify_email" in shown
    assert "ada@example.org" not in shown
    assert "planted" not in shown


def test_a_field_that_the_contract_does_not_know_is_not_shown() -> None:
    shown = RUN_COMPUTATION.shown_arguments(
        {"job_id": "1", "computation": "add", "note": "planted"}
    )
    assert "add" in shown
    assert "planted" not in shown


def test_what_is_shown_is_short() -> None:
    huge = {"job_id": "1", "computation": "describe", "arguments": {"values": [1.5] * 100_000}}
    assert len(RUN_COMPUTATION.shown_arguments(huge)) <= 1024
