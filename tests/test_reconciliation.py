"""What the broker loses, by hand or by accident, is published again; nothing is left for ever."""

from collections.abc import Callable

from .support import broker_users
from .support.api import FINAL, Account, Gate, connect
from .support.management import Management
from .support.stack import Stack
from .support.wire import Wire

DEADLINE = 110.0  # seconds; what vanishes without a trace is watched for a while first


def outcomes(stack: Stack, user: Account, jobs: list[str]) -> list[tuple[str, object, int]]:
    """Wait until jobs have ended: state, result and number of runs of each."""
    ended = stack.poll(
        lambda: [user.job(job_id) for job_id in jobs],
        lambda found: all(job["state"] in FINAL for job in found),
        "end of all jobs",
        deadline=DEADLINE,
    )
    return [(job["state"], job["result"], job["attempts"]) for job in ended]


def occupy(user: Account, gates: Callable[[], Gate]) -> tuple[list[Gate], list[str]]:
    """Keep both of the worker's processes busy."""
    busy = [gates(), gates()]
    jobs = [user.submit("hold", **gate.arguments) for gate in busy]
    for gate in busy:
        gate.await_runs()
    return busy, jobs


def submit_waiting(stack: Stack, wire: Wire, user: Account, count: int = 3) -> list[str]:
    """Submit jobs until so many stay in the queue, for there is nobody to take them.

    RabbitMQ 3.10 gives a consumer one message more at a time for each that it has had to
    dead-letter by the delivery limit, so that a worker may hold more than it has processes.
    """
    jobs: list[str] = []
    while wire.waiting("compute") < count:
        jobs.append(user.submit("add", x=len(jobs), y=1))
        stack.poll(
            lambda: stack.rows("SELECT id FROM messaging_outboxmessage"),
            lambda rows: not rows,
            "empty outbox",
        )
    return jobs


def sums(jobs: list[str]) -> list[tuple[str, object, int]]:
    """What becomes of them."""
    return [("succeeded", number + 1, 1) for number in range(len(jobs))]


def test_a_deleted_queue_comes_back_with_what_was_in_it(
    healed: Stack, wire: Wire, management: Management, user: Account, gates: Callable[[], Gate]
) -> None:
    busy, running = occupy(user, gates)
    waiting = submit_waiting(healed, wire, user)
    management.delete_queue("compute")
    for gate in busy:
        gate.release()
    assert outcomes(healed, user, waiting) == sums(waiting)
    assert outcomes(healed, user, running) == [("succeeded", "released", 1)] * 2
    assert [gate.runs for gate in busy] == [1, 1], "they were in a worker's hands"


def test_what_was_thrown_out_of_a_queue_is_found_missing(
    healed: Stack, wire: Wire, management: Management, user: Account, gate: Gate
) -> None:
    interrupted = user.submit("hold", **gate.arguments)
    gate.await_runs()
    healed.poll(lambda: user.job(interrupted)["state"], lambda s: s == "running", "running job")
    healed.compute.kill()  # its row says running, and its message goes back to the queue
    waiting = submit_waiting(healed, wire, user)
    healed.poll(
        lambda: wire.waiting("compute"), lambda count: count > len(waiting), "returned message"
    )
    management.purge_queue("compute")
    gate.release()
    healed.compute.start()
    assert outcomes(healed, user, waiting) == sums(waiting)
    assert outcomes(healed, user, [interrupted]) == [("succeeded", "released", 2)]


def test_a_result_that_was_thrown_away_is_computed_again(
    healed: Stack, wire: Wire, management: Management, user: Account
) -> None:
    healed.collector.stop()
    job_id = user.submit("add", x=1, y=2)
    healed.poll(lambda: wire.waiting("web.results"), lambda count: count >= 2, "waiting result")
    management.delete_queue("web.results")
    healed.collector.start()
    [(state, result, _)] = outcomes(healed, user, [job_id])
    assert (state, result) == ("succeeded", 3)


def test_a_mail_whose_queue_was_deleted_is_sent_once(
    healed: Stack, wire: Wire, management: Management
) -> None:
    healed.mailer.stop()
    with connect(healed.settings.web_url) as http:
        visitor = Account.register(http)
        healed.poll(lambda: wire.waiting("mailer"), bool, "waiting mail")
        management.delete_queue("mailer")
        healed.mailer.launch()  # it waits for its queue
        visitor.move_in(healed.smtp)
        sent = healed.poll(visitor.mail, lambda mail: mail["state"] == "sent", "sent mail")
    assert (sent["attempts"], sent["uncertain"]) == (1, False)
    to_visitor = healed.smtp.mails_to(visitor.email)
    assert len([mail for mail in to_visitor if mail["Message-ID"] == sent["message_id"]]) == 1


def test_nothing_is_lost_with_a_broker_that_has_lost_everything(
    healed: Stack, wire: Wire, management: Management, user: Account, gates: Callable[[], Gate]
) -> None:
    busy, running = occupy(user, gates)
    waiting = submit_waiting(healed, wire, user)
    known = broker_users.accounts(management)
    healed.mailer.stop()
    with connect(healed.settings.web_url) as http:
        visitor = Account.register(http)
        healed.poll(lambda: wire.waiting("mailer"), bool, "waiting mail")
        healed.broker.wipe()
        healed.broker.start()
        broker_users.restore(management, known)
        healed.mailer.launch()
        for gate in busy:
            gate.release()
        assert outcomes(healed, user, waiting) == sums(waiting)
        assert outcomes(healed, user, running) == [("succeeded", "released", 1)] * 2
        assert [gate.runs for gate in busy] == [1, 1]
        visitor.move_in(healed.smtp)
    mails = [mail["Message-ID"] for mail in healed.smtp.mails_to(visitor.email)]
    assert mails
    assert len(mails) == len(set(mails))
