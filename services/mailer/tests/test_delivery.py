"""One mail for one request, whatever happens to request, server, worker or database."""

import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from contracts.errors import MalformedMessageError, PermanentError, TransientError
from contracts.tasks import SendEmail
from mailer.smtp import OutcomeUnknownError
from tests.support.program import Program

from .conftest import StartPost, StartServer
from .delivering import MAIL, RESENT, SENT, Look, Post, another_mail, message_ids
from .scripted_server import DROP, HANG, ScriptedServer


@pytest.fixture
def server(smtp_server: StartServer) -> ScriptedServer:
    return smtp_server()


def test_a_mail_is_sent_and_noted(post: Post, server: ScriptedServer, look: Look) -> None:
    assert post.deliver() == SENT
    assert server.mails[0]["To"] == "bob@example.com"
    assert look.rows() == [("e-1", "sent", 1)]


def test_the_same_request_twice_sends_one_mail(
    start_post: StartPost, server: ScriptedServer
) -> None:
    assert [start_post().deliver(), start_post().deliver()] == [SENT, SENT]
    assert len(server.mails) == 1


def test_the_same_request_twice_at_the_same_time_sends_one_mail(
    start_post: StartPost, server: ScriptedServer, look: Look, threads: ThreadPoolExecutor
) -> None:
    server.script["END"] = [lambda: server.wait_for(look.waits_for_a_lock)]
    both = [threads.submit(start_post().deliver) for _ in range(2)]
    assert [one.result() for one in both] == [SENT, SENT]
    assert len(server.mails) == 1


def test_a_request_whose_mail_is_being_sent_by_another_worker_does_not_wait_for_ever(
    start_post: StartPost, server: ScriptedServer, threads: ThreadPoolExecutor
) -> None:
    server.script["END"] = [HANG]
    sending = threads.submit(start_post().deliver)
    server.wait_for(lambda: "END" in server.seen)
    with pytest.raises(TransientError, match="another worker is sending this mail"):
        start_post(lock_wait=0.1).deliver()
    server.released.set()
    assert sending.result() == SENT


def test_different_mails_are_sent_at_the_same_time(
    post: Post, server: ScriptedServer, threads: ThreadPoolExecutor
) -> None:
    server.script["END"] = [HANG, HANG]
    sending = [threads.submit(post.deliver, another_mail(f"e-{n}")) for n in (1, 2)]
    server.wait_for(lambda: len(server.mails) == 2)
    server.released.set()
    assert sorted(one.result().message_id for one in sending) == message_ids("e-1", "e-2")


@pytest.mark.parametrize("stage", ["RCPT", "END"])
def test_a_mail_refused_for_now_is_sent_later_without_doubt(
    post: Post, server: ScriptedServer, look: Look, stage: str
) -> None:
    server.script[stage] = ["451 4.7.1 later"]
    with pytest.raises(TransientError, match="451"):
        post.deliver()
    assert look.rows() == []
    assert post.deliver() == SENT


def test_a_mail_refused_for_good_leaves_no_claim(
    post: Post, server: ScriptedServer, look: Look
) -> None:
    server.script["RCPT"] = ["550 5.1.1 unknown"]
    with pytest.raises(PermanentError, match="550"):
        post.deliver()
    assert look.rows() == []


def test_a_malformed_request_claims_nothing(post: Post, server: ScriptedServer) -> None:
    with pytest.raises(MalformedMessageError, match="no mail template 'goodbye'"):
        post.deliver(SendEmail(email_id="e-1", template="goodbye", recipient="b@c.d", context={}))
    assert server.seen == []


def test_a_mail_of_unknown_outcome_is_sent_again_in_doubt_with_the_same_message_id(
    post: Post, server: ScriptedServer, look: Look
) -> None:
    server.script["END"] = [DROP]
    with pytest.raises(OutcomeUnknownError):
        post.deliver()
    assert look.rows() == [("e-1", "sending", 1)]
    assert [post.deliver(), post.deliver()] == [RESENT, RESENT]
    assert server.message_ids() == message_ids("e-1", "e-1")


def test_a_mail_that_one_server_may_have_is_not_given_to_the_next_in_the_same_run(
    start_post: StartPost, server: ScriptedServer, smtp_server: StartServer, look: Look
) -> None:
    another = smtp_server()
    post = start_post(another)
    server.script["END"] = [DROP]
    with pytest.raises(OutcomeUnknownError):
        post.deliver()
    assert another.seen == []
    assert look.rows() == [("e-1", "sending", 1)]
    server.script["GREETING"] = ["421 closed for repairs"]
    assert post.deliver().uncertain
    assert another.message_ids() == message_ids("e-1")


def test_a_refusal_does_not_take_an_earlier_doubt_away(
    post: Post, server: ScriptedServer, look: Look
) -> None:
    server.script["END"] = [DROP, "451 4.7.1 later"]
    with pytest.raises(OutcomeUnknownError):
        post.deliver()
    with pytest.raises(TransientError, match="451"):
        post.deliver()
    assert look.rows() == [("e-1", "sending", 1)]
    assert post.deliver().uncertain


SEND = """
import sys
from services_mailer_tests.delivering import Post
Post(sys.argv[1], int(sys.argv[2])).deliver()
"""


def test_a_worker_killed_between_data_and_ledger_leaves_a_mail_that_is_sent_again_in_doubt(
    post: Post, server: ScriptedServer, ledger_url: str, look: Look, tmp_path: Path
) -> None:
    (tmp_path / "services_mailer_tests").symlink_to(Path(__file__).parent)
    server.script["END"] = [HANG]
    command = [sys.executable, "-c", SEND, ledger_url, str(server.port)]
    with Program(command, tmp_path / "log", {"PYTHONPATH": str(tmp_path)}) as worker:
        server.wait_for(lambda: server.mails or not worker.alive)
        assert worker.kill() == -signal.SIGKILL, worker.log
    assert look.rows() == [("e-1", "sending", 1)]
    assert post.deliver() == RESENT
    assert server.message_ids() == message_ids("e-1", "e-1")


def test_the_ledger_holds_no_address_and_no_content(post: Post, look: Look) -> None:
    post.deliver()
    stored = str(look.ask("SELECT * FROM mail_ledger"))
    for secret in (MAIL.recipient, *MAIL.context.values()):
        assert secret not in stored or secret == MAIL.context["expires_in_days"]
