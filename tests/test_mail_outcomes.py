"""What becomes of a mail when the mail server, or the mailer, does not play along."""

from .support.api import Account
from .support.stack import Stack


def arrival(stack: Stack, visitor: Account) -> None:
    """Let the verification mail arrive, so that what is scripted next befalls the welcome mail."""
    stack.poll(lambda: stack.smtp.mails_to(visitor.email), bool, "verification mail")


def welcome(stack: Stack, visitor: Account, state: str) -> dict[str, object]:
    mail: dict[str, object] = stack.poll(
        lambda: visitor.mail("welcome"), lambda mail: mail["state"] == state, f"{state} mail"
    )
    return mail


def attempts(mail: dict[str, object]) -> list[tuple[int, str, str]]:
    history = mail["history"]
    assert isinstance(history, list)
    return [(run["number"], run["outcome"], run["answer"]) for run in history]


def test_a_4xx_answer_is_tried_again_until_the_mail_is_taken(
    stack: Stack, visitor: Account
) -> None:
    arrival(stack, visitor)
    greylisted, busy = "451 4.7.1 Greylisted, come back later", "421 4.3.2 Too busy"
    stack.smtp.answer(visitor.email, greylisted, busy)
    visitor.move_in(stack.smtp)
    mail = welcome(stack, visitor, "sent")
    assert [run[:2] for run in attempts(mail)] == [(1, "deferred"), (2, "deferred"), (3, "sent")]
    assert [run[2] for run in attempts(mail)][:2] == [greylisted, busy]
    assert mail["attempts"] == 3
    assert str(mail["answer"]).startswith("250 2.0.0 Ok")
    assert mail["uncertain"] is False
    assert len(stack.smtp.mails_to(visitor.email)) == 2


def test_a_5xx_answer_is_final_and_no_matter_for_an_operator(
    stack: Stack, visitor: Account
) -> None:
    arrival(stack, visitor)
    stack.smtp.answer(visitor.email, f"550 5.1.1 <{visitor.email}>: no such user here")
    visitor.move_in(stack.smtp)
    mail = welcome(stack, visitor, "failed")
    refused = "550 5.1.1 <recipient>: no such user here"
    assert attempts(mail) == [(1, "failed", refused)]
    assert mail["answer"] == refused
    assert mail["failed_at"] is not None
    assert mail["next_attempt_at"] is None
    assert not stack.rows("SELECT 1 FROM messaging_deadletter WHERE task_id = %s", mail["id"])


def test_a_mail_waits_until_the_mail_server_is_back(healed: Stack, visitor: Account) -> None:
    arrival(healed, visitor)
    healed.smtp.shut()
    visitor.move_in(healed.smtp)
    mail = welcome(healed, visitor, "retrying")
    assert str(mail["answer"]).startswith("no connection to the SMTP server")
    assert mail["next_attempt_at"] is not None
    assert visitor.get("mails", params={"state": "sent"})["results"][0]["template"] == (
        "verify_email"
    )
    healed.smtp.open()
    mail = welcome(healed, visitor, "sent")
    *earlier, last = attempts(mail)
    assert {outcome for _, outcome, _ in earlier} == {"deferred"}
    assert last[1] == "sent"


def test_a_mailer_killed_after_the_mail_has_left_sends_it_again_in_doubt(
    healed: Stack, visitor: Account
) -> None:
    arrival(healed, visitor)
    hold = healed.smtp.hold(visitor.email)
    visitor.move_in(healed.smtp)

    def mails() -> list[str]:
        return [mail["Message-ID"] for mail in healed.smtp.mails_to(visitor.email)]

    healed.poll(mails, lambda found: len(found) == 2, "mail that the server has but not confirmed")
    healed.mailer.kill()
    hold.set()
    healed.mailer.start()
    mail = welcome(healed, visitor, "sent")
    assert mail["uncertain"] is True
    assert mails()[1:] == [mail["message_id"]] * 2
