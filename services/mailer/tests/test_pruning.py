"""The ledger forgets what is old, and refuses what it may have forgotten."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from contracts.errors import PermanentError
from mailer.pruning import Pruning
from tests.support.polling import poll

from .conftest import StartPost, StartServer
from .delivering import Look, Post, another_mail, message_ids
from .scripted_server import ScriptedServer

DAYS = 90


@pytest.fixture
def server(smtp_server: StartServer) -> ScriptedServer:
    return smtp_server()


@pytest.fixture
def post(start_post: StartPost, ledger_url: str) -> Post:
    """One that has sent an old mail and a new one."""
    started = start_post(days=DAYS)
    for email_id in ("old", "new"):
        started.deliver(another_mail(email_id))
    with psycopg.connect(ledger_url) as connection:
        connection.execute(
            "UPDATE mail_ledger SET claimed_at = now() - interval '91 days' WHERE email_id = 'old'"
        )
    return started


def known(look: Look) -> list[str]:
    return sorted(row[0] for row in look.rows())


def days_ago(days: int) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def test_only_old_mails_are_forgotten(post: Post, look: Look) -> None:
    assert post.ledger.prune() == 1
    assert known(look) == ["new"]
    assert post.ledger.prune() == 0


def test_what_was_forgotten_is_not_sent_again(post: Post, server: ScriptedServer) -> None:
    post.ledger.prune()
    with pytest.raises(PermanentError, match="nobody knows whether it was sent") as refused:
        post.deliver(another_mail("old"), days_ago(91))
    assert refused.value.kind == "MailForgotten"
    post.deliver(another_mail("late"), days_ago(80))
    assert server.message_ids() == message_ids("old", "new", "late")


def test_who_remembers_for_ever_refuses_nothing(
    start_post: StartPost, server: ScriptedServer
) -> None:
    start_post().deliver(another_mail("late"), days_ago(5000))
    assert server.message_ids() == message_ids("late")


def test_a_mail_that_somebody_has_in_hand_is_left_alone(
    post: Post, look: Look, ledger_url: str
) -> None:
    with psycopg.connect(ledger_url) as connection:
        connection.execute("SELECT 1 FROM mail_ledger WHERE email_id = 'old' FOR UPDATE")
        assert post.ledger.prune() == 0
    assert post.ledger.prune() == 1


def test_it_is_done_now_and_then_and_for_ever_not_at_all(
    post: Post, start_post: StartPost, look: Look
) -> None:
    Pruning(start_post().ledger, every=0.01).start()
    assert known(look) == ["new", "old"]
    pruning = Pruning(post.ledger, every=0.01)
    pruning.start()
    poll(lambda: known(look), lambda found: found == ["new"], what="pruning")
    pruning.stop()
