"""The ledger's database: prepared, away before a mail leaves, away afterwards."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from structlog.testing import capture_logs

from contracts.errors import TransientError
from local.servers.database import Database

from .conftest import StartPost, StartServer
from .delivering import RESENT, SENT, Look, Post, another_mail, message_ids
from .scripted_server import HANG, ScriptedServer

AWAY = "ledger not available"
BRIEF = 3.0  # seconds of patience: within them a busy machine still connects


@pytest.fixture
def server(smtp_server: StartServer) -> ScriptedServer:
    return smtp_server()


def test_many_workers_may_prepare_the_same_empty_database(
    start_post: StartPost, threads: ThreadPoolExecutor, look: Look
) -> None:
    posts = [start_post() for _ in range(4)]
    list(threads.map(lambda post: post.ledger.prepare(10), posts))
    assert look.rows() == []


def test_a_ledger_that_does_not_answer_is_told_at_the_start(start_post: StartPost) -> None:
    nowhere = Post("postgresql://mailer:planted@127.0.0.1:1/mailer", 1)
    with pytest.raises(psycopg.OperationalError) as caught:
        nowhere.ledger.prepare(0.3)
    nowhere.close()
    assert "planted" not in str(caught.value)


def test_no_mail_leaves_while_the_ledger_is_away(
    start_post: StartPost, server: ScriptedServer, database: Database
) -> None:
    post = start_post(patience=BRIEF)
    post.deliver(another_mail("e-0"))
    database.stop()
    try:
        with pytest.raises(TransientError, match="ledger is not available"):
            post.deliver()
        assert server.message_ids() == message_ids("e-0")
    finally:
        database.start()
    assert post.deliver().uncertain is False


def test_a_mail_that_left_is_noted_once_the_ledger_is_back(
    start_post: StartPost,
    server: ScriptedServer,
    database: Database,
    look: Look,
    threads: ThreadPoolExecutor,
) -> None:
    server.script["END"] = [HANG]
    sending = threads.submit(start_post(patience=BRIEF).deliver)
    server.wait_for(lambda: server.mails)
    database.stop()
    try:
        with capture_logs() as logs:
            server.released.set()
            server.wait_for(lambda: [line["event"] for line in logs].count(AWAY) == 2)
        assert not sending.done()
    finally:
        database.start()
    assert sending.result() == SENT
    assert look.rows() == [("e-1", "sent", 1)]


def test_a_mail_that_left_has_its_receipt_even_if_the_ledger_stays_away(
    start_post: StartPost,
    server: ScriptedServer,
    database: Database,
    look: Look,
    threads: ThreadPoolExecutor,
) -> None:
    server.script["END"] = [HANG]
    post = start_post(patience=BRIEF, settle_for=0.1)
    sending = threads.submit(post.deliver)
    server.wait_for(lambda: server.mails)
    database.stop()
    try:
        server.released.set()
        assert sending.result() == SENT
    finally:
        database.start()
    assert look.rows() == [("e-1", "sending", 1)]
    assert post.deliver() == RESENT


def test_a_database_that_is_frozen_holds_up_nobody(
    start_post: StartPost, server: ScriptedServer, database: Database
) -> None:
    post = start_post(patience=BRIEF, lock_wait=0.5)
    post.deliver(another_mail("e-0"))
    database.pause()
    try:
        with pytest.raises(TransientError, match="ledger is not available"):
            post.deliver()
    finally:
        database.resume()
    assert server.message_ids() == message_ids("e-0")
    assert post.deliver().message_id == SENT.message_id


def test_a_mail_that_left_is_noted_once_the_database_is_thawed(
    start_post: StartPost,
    server: ScriptedServer,
    database: Database,
    look: Look,
    threads: ThreadPoolExecutor,
) -> None:
    server.script["END"] = [HANG]
    sending = threads.submit(start_post(patience=BRIEF, lock_wait=0.5).deliver)
    server.wait_for(lambda: server.mails)
    database.pause()
    try:
        with capture_logs() as logs:
            server.released.set()
            server.wait_for(lambda: [line["event"] for line in logs].count(AWAY) == 2)
    finally:
        database.resume()
    assert sending.result() == SENT
    assert look.rows() == [("e-1", "sent", 1)]
