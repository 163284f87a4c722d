"""Web's own tasks across processes: sent by anybody, run by the worker `tasks`, read from rows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .support.api import Gate
from .support.management import Management
from .support.polling import poll
from .support.process import CHECKOUT
from .support.program import Interpreter
from .support.stack import Stack
from .support.wire import Wire


class CallError(Exception):
    """What a call in the shop has ended with."""


class Shop(Interpreter):
    """A Python of web's, in which the staged app's tasks are called."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(["python", "services/web/manage.py", "drive"], stack.environment, CHECKOUT)

    def __call__(self, expression: str, **names: Any) -> Any:
        """Evaluate an expression in which ``names`` stand for values. Raises CallError."""
        answer = self.ask(f"(lambda {', '.join(names)}: {expression})(**{names!r})")
        if "error" in answer:
            raise CallError(f"{answer['error']}: {answer['words']}")
        return answer["value"]

    def result(self, task_id: str, seconds: int = 60) -> Any:
        """Wait for a task's result."""
        return self("AsyncResult(id).get(timeout=seconds)", id=task_id, seconds=seconds)

    def state(self, task_id: str) -> Any:
        return self("AsyncResult(id).state", id=task_id)


@pytest.fixture(scope="module")
def shop(stack: Stack) -> Iterator[Shop]:
    with Shop(stack) as opened:
        yield opened


def row(stack: Stack, task_id: str) -> dict[str, Any]:
    [found] = stack.rows("SELECT * FROM tasks_task WHERE id = %s", task_id)
    return found


def lines(file: Path) -> int:
    return len(file.read_text().splitlines()) if file.exists() else 0


def test_a_result_comes_back_to_whoever_has_asked(shop: Shop) -> None:
    assert shop("add.delay(4, 6).get(timeout=60)") == 10
    assert shop(r"add.delay('a\0', '\ud800').get(timeout=60)") == "a\0\ud800"
    assert shop("group(add.s(n, n) for n in range(5)).apply_async().get(timeout=60)") == [
        0, 2, 4, 6, 8,
    ]  # fmt: skip
    assert shop("chord([add.s(1, 2), add.s(3, 4)], total.s()).apply_async().get(timeout=60)") == 10


def test_other_services_are_asked_in_the_same_way(stack: Stack, shop: Shop) -> None:
    called = "compute.s(computation='add', arguments={'x': 4, 'y': 6})"
    assert shop(f"{called}.delay().get(timeout=60)") == 10
    assert shop(f"({called} | add.s(5)).apply_async().get(timeout=60)") == 15
    assert shop(f"chord([{called}, add.s(1, 1)], total.s()).apply_async().get(timeout=60)") == 12
    with pytest.raises(CallError, match="InvalidArguments"):
        shop("compute.delay(computation='add', arguments={'x': 'six'}).get(timeout=60)")
    mail = "send_email.delay(template='welcome', recipient='hedy@example.org', context={})"
    receipt = shop(f"{mail}.get(timeout=60)")
    assert receipt["answer"].startswith("250")
    assert len(stack.smtp.mails_to("hedy@example.org")) == 1
    long_ago = {"accepted_at": "2020-01-01T00:00:00Z"}
    with pytest.raises(CallError, match="MailForgotten"):
        shop(f"{mail.replace('delay', 'si')}.apply_async(headers={long_ago}).get(timeout=60)")


def test_a_task_sees_what_its_sender_has_committed(shop: Shop) -> None:
    task_id = shop("register_and_greet('grace@example.org')")
    assert shop.result(task_id) == "grace@example.org"


def test_a_crash_and_retries_out_of_transactions_are_counted_apart(
    stack: Stack, shop: Shop
) -> None:
    task_id = shop("crash_and_retry.delay(2).id")
    assert shop.result(task_id) == [2]
    assert row(stack, task_id)["attempt"] == 4  # the crash, two retries, and the one that ended


def test_each_process_of_the_pool_has_a_connection_of_its_own(shop: Shop) -> None:
    found = shop("group(who.s() for _ in range(8)).apply_async().get(timeout=60)")
    assert len({process for process, _ in found}) == 2
    used_by = {backend: {pid for pid, other in found if other == backend} for _, backend in found}
    assert {len(processes) for processes in used_by.values()} == {1}


def test_time_limits_hold(shop: Shop) -> None:
    with pytest.raises(CallError, match="SoftTimeLimitExceeded"):
        shop("too_long.delay().get(timeout=60)")
    with pytest.raises(CallError, match=r"^TimeLimitExceeded|stopped at the hard limit"):
        shop("far_too_long.delay().get(timeout=60)")


def test_a_foreseen_error_is_an_answer_and_any_other_a_dead_letter_too(
    stack: Stack, shop: Shop, gate: Gate
) -> None:
    with pytest.raises(CallError, match="LookupError: nobody has it"):
        shop("miss.delay().get(timeout=60)")
    task_id = shop("fail.delay(gate).id", gate=str(gate.folder))
    with pytest.raises(CallError, match="RuntimeError: the shelf is empty"):
        shop.result(task_id)

    def letters() -> Any:
        return stack.rows("SELECT * FROM messaging_deadletter WHERE task_id = %s", task_id)

    [letter] = stack.poll(letters, bool, "dead letter")
    assert (letter["reason"], letter["queue"]) == ("rejected", "web.tasks")
    stack.poll(lambda: letters()[0]["detail"], lambda told: "shelf is empty" in told, "its error")
    assert not stack.rows("SELECT * FROM messaging_deadletter WHERE task LIKE %s", "%.miss")
    gate.mend()
    replay = stack.manage("dead_letters", "replay", str(letter["id"]))
    assert replay.returncode == 0, replay.stdout + replay.stderr
    assert shop.result(task_id) == "mended"


def test_a_task_that_the_worker_has_not_got_says_so(stack: Stack, shop: Shop) -> None:
    task_id = shop("send_task('newer.add', (1, 2)).id")
    with pytest.raises(CallError, match="the worker has no such task"):
        shop.result(task_id)
    query = "SELECT detail FROM messaging_deadletter WHERE task_id = %s"
    stack.poll(
        lambda: stack.rows(query, task_id),
        lambda rows: rows and "restart it" in rows[0]["detail"],
        "its dead letter",
    )


def test_a_task_that_always_crashes_fails_with_all_that_follows(shop: Shop, gate: Gate) -> None:
    last = shop("chain(crash.si(gate), add.si(1, 1)).apply_async().id", gate=str(gate.folder))
    with pytest.raises(CallError, match="its worker died, or lost its connection, 4 times"):
        shop.result(last)
    assert gate.runs == 4


def test_what_follows_is_sent_once_though_its_sender_dies_before_it_says_so(
    stack: Stack, shop: Shop, tmp_path: Path
) -> None:
    file = str(tmp_path / "runs")
    last = shop("(die_before_saying_so.s(7) | note.s(file)).apply_async().id", file=file)
    assert shop.result(last) == 7
    first = str(row(stack, last)["parent_id"])
    assert shop.result(first) == 7
    assert row(stack, first)["attempt"] == 2
    assert lines(tmp_path / "runs") == 1


def test_a_worker_that_stops_gives_back_what_it_has_not_ended(
    healed: Stack, shop: Shop, gate: Gate
) -> None:
    task_id = shop("hold.delay(gate).id", gate=str(gate.folder))
    gate.await_runs()
    healed.tasks.stop()
    healed.poll(lambda: shop.state(task_id), lambda state: state == "RETRY", "its return")
    healed.tasks.launch()
    gate.release()
    assert shop.result(task_id) == "released"
    assert row(healed, task_id)["attempt"] == 2


def test_a_revoked_task_does_not_run(healed: Stack, shop: Shop, gate: Gate) -> None:
    later = shop("hold.apply_async((gate,), countdown=3600).id", gate=str(gate.folder))
    shop("AsyncResult(id).revoke()", id=later)
    assert shop.state(later) == "REVOKED"
    assert not healed.rows("SELECT * FROM messaging_outboxmessage WHERE task_id = %s", later)

    running = shop("hold.delay(gate).id", gate=str(gate.folder))
    gate.await_runs()
    shop("AsyncResult(id).revoke(terminate=True)", id=running)
    healed.poll(lambda: shop.state(running), lambda state: state == "REVOKED", "its end")

    healed.tasks.stop()
    waiting = shop("hold.delay(gate).id", gate=str(gate.folder))
    sent = "SELECT * FROM messaging_outboxmessage WHERE task_id = %s"
    healed.poll(lambda: healed.rows(sent, waiting), lambda rows: not rows, "its message sent")
    shop("AsyncResult(id).revoke()", id=waiting)
    healed.tasks.start()  # it has not heard of it
    healed.poll(lambda: shop.state(waiting), lambda state: state == "REVOKED", "its end")


def test_a_lost_task_is_found_and_sent_again(
    healed: Stack, shop: Shop, wire: Wire, management: Management
) -> None:
    healed.tasks.stop()
    task_id = shop("add.delay(1, 2).id")
    healed.poll(lambda: wire.waiting("web.tasks"), bool, "its message in the queue")
    management.purge_queue("web.tasks")
    healed.tasks.start()
    assert shop.result(task_id) == 3
    assert row(healed, task_id)["republished"] == 1


def test_nobody_waits_for_a_broker_that_is_away(healed: Stack, shop: Shop) -> None:
    healed.broker.kill()
    task_id = shop("add.delay(1, 2).id")
    shop("AsyncResult(id).revoke()", id=shop("add.delay(1, 2).id"))
    healed.broker.start()
    assert shop.result(task_id) == 3


def test_a_run_that_has_ended_well_waits_for_the_database_to_send_what_follows(
    healed: Stack, shop: Shop, gate: Gate, tmp_path: Path
) -> None:
    file = str(tmp_path / "runs")
    task = "hold.apply_async((gate,), link=[note.s(file), note.s(file)]).id"
    task_id = shop(task, gate=str(gate.folder), file=file)
    gate.await_runs()
    healed.database.kill()
    gate.release()
    poll(lambda: "task done" in healed.tasks.last_log, what="its end")
    healed.start_database()
    assert shop.result(task_id) == "released"
    poll(lambda: lines(tmp_path / "runs"), lambda runs: runs == 2, what="what follows")


def test_periodic_work_begins_by_itself_and_by_hand(stack: Stack) -> None:
    def prunings() -> list[str]:
        rows = stack.rows("SELECT state FROM tasks_task WHERE name = 'web.prune'")
        return [row["state"] for row in rows]

    before = len(prunings())
    stack.execute("UPDATE tasks_periodictask SET last_due = '2026-01-01' WHERE name = 'web.prune'")
    stack.poll(prunings, lambda states: states[before:] == ["succeeded"], "the missed time")
    listed = stack.manage("periodic", "list", check=True).stdout
    assert "web.prune  [17 3 * * * UTC]  next 20" in listed
    stack.manage("periodic", "run", "web.prune", check=True)
    stack.poll(prunings, lambda states: states[before:] == ["succeeded"] * 2, "the one by hand")


def test_a_task_that_has_expired_does_not_run(stack: Stack, shop: Shop) -> None:
    task_id = shop("add.apply_async((1, 2), expires=-1).id")
    stack.poll(lambda: shop.state(task_id), lambda state: state == "REVOKED", "its end")


def test_secrets_among_the_arguments_are_in_no_log_and_no_event(
    stack: Stack, shop: Shop, wire: Wire
) -> None:
    spy = wire.spy("celeryev")
    task_id = shop("tell.delay(1, password='hunter2').id")
    assert shop.result(task_id) == 8

    def events() -> str:
        copies = [copy.body.decode() for copy in spy.seen]
        return "\n".join(copy for copy in copies if task_id in copy)

    told = stack.poll(events, lambda text: "task-succeeded" in text, "its events")
    for kind in ("task-sent", "task-received", "task-started"):
        assert kind in told
    assert "hunter2" not in told
    assert "hunter2" not in stack.tasks.last_log
    assert task_id in stack.tasks.last_log
