"""The ledger forgets what is old, and nothing that could still be asked for."""

from datetime import timedelta

import psycopg
import pytest

from mailer.pruning import Pruning

from .conftest import StartPost, StartServer
from .delivering import Look, Post, another_mail
from .scripted_server import ScriptedServer
from .waiting import wait_for

AGE = timedelta(days=90)


@pytest.fixture
def server(smtp_server: StartServer) -> ScriptedServer:
    return smtp_server()


@pytest.fixture
def post(start_post: StartPost, ledger_url: str) -> Post:
    """One that has sent an old mail and a new one."""
    started = start_post()
    for email_id in ("old", "new"):
        started.deliver(another_mail(email_id))
    with psycopg.connect(ledger_url) as connection:
        connection.execute(
            "UPDATE mail_ledger SET claimed_at = now() - interval '91 days' WHERE email_id = 'old'"
        )
    return started


def known(look: Look) -> list[str]:
    return sorted(row[0] for row in look.rows())


def test_only_old_mails_are_forgotten(post: Post, look: Look) -> None:
    assert post.ledger.prune(AGE) == 1
    assert known(look) == ["new"]
    assert post.ledger.prune(AGE) == 0


def test_a_mail_that_somebody_has_in_hand_is_left_alone(
    post: Post, look: Look, ledger_url: str
) -> None:
    with psycopg.connect(ledger_url) as connection:
        connection.execute("SELECT 1 FROM mail_ledger WHERE email_id = 'old' FOR UPDATE")
        assert post.ledger.prune(AGE) == 0
    assert post.ledger.prune(AGE) == 1


def test_it_is_done_now_and_then_and_for_ever_not_at_all(post: Post, look: Look) -> None:
    for_ever, pruning = Pruning(post.ledger, 0, every=0.01), Pruning(post.ledger, 90, every=0.01)
    for_ever.start()
    assert known(look) == ["new", "old"]
    pruning.start()
    wait_for(lambda: known(look) == ["new"])
    pruning.stop()
