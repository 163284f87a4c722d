"""Each due time of periodic work is sent exactly once, whoever looks, whatever the clock does."""

import threading
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from web.messaging.processes.lifecycle import StopSignal
from web.postgresql import clock
from web.tasks import periodic
from web.tasks.models import PeriodicTask, Task
from web.tasks.tests.shop import add

NAME = "tidy"
START = datetime(2026, 3, 28, 12, 0, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(periodic, "_entries", [])
    declare = periodic.periodic("30 2 * * *", zone="Europe/Berlin", args=(1, 2), name=NAME)
    assert declare(add) is add


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The database's clock, to be set."""
    time = [START]
    monkeypatch.setattr(clock, "now", lambda: time[0])
    return time


def looks_at(now: list[datetime], *times: datetime) -> int:
    """Look at each time; returns how many tasks there are then."""
    for time in times:
        now[0] = time
        periodic.look()
    return Task.objects.count()


@pytest.mark.django_db
def test_what_is_seen_for_the_first_time_begins_then(now: list[datetime]) -> None:
    assert looks_at(now, START) == 0
    assert PeriodicTask.objects.get().last_due == START


@pytest.mark.django_db
def test_each_due_time_is_sent_once_over_a_change_of_summer_time(now: list[datetime]) -> None:
    every_minute = [START + timedelta(minutes=n) for n in range(3 * 24 * 60)]
    assert looks_at(now, *every_minute[::7]) == 3  # 29, 30 and 31 March
    assert Task.objects.filter(name=add.name).count() == 3


@pytest.mark.django_db
def test_what_was_missed_is_caught_up_once(now: list[datetime]) -> None:
    assert looks_at(now, START, START + timedelta(days=40)) == 1
    assert looks_at(now, START + timedelta(days=40, minutes=1)) == 1


@pytest.mark.django_db
def test_a_clock_that_jumps_sends_nothing_twice(now: list[datetime]) -> None:
    due = START + timedelta(days=1)
    assert looks_at(now, START, due) == 1
    assert looks_at(now, START, due, due + timedelta(hours=1), START, due) == 1


@pytest.mark.django_db
def test_what_is_paused_is_not_caught_up(now: list[datetime]) -> None:
    looks_at(now, START)
    periodic.pause(NAME)
    assert looks_at(now, START + timedelta(days=3)) == 0
    PeriodicTask.objects.update(last_due=now[0], paused=False)  # which `resume` does, by its clock
    assert looks_at(now, now[0] + timedelta(minutes=1)) == 0
    assert looks_at(now, now[0] + timedelta(days=1)) == 1


@pytest.mark.django_db
def test_pausing_and_resuming_count_from_the_databases_now() -> None:
    before = clock.now()
    for act, paused in ((periodic.pause, True), (periodic.resume, False)):
        act(NAME)
        row = PeriodicTask.objects.get()
        assert (row.paused, row.last_due >= before) == (paused, True)


def at_once(*actions: Any) -> list[Exception]:
    """Run actions in threads, each with a connection of its own; returns what they raise."""
    errors: list[Exception] = []

    def run(action: Any) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 -- told by the main thread
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return errors


def make_due() -> None:
    PeriodicTask.objects.create(name=NAME, last_due=clock.now() - timedelta(days=2))


@pytest.mark.django_db(transaction=True)
def test_of_many_who_look_one_sends() -> None:
    make_due()
    barrier = threading.Barrier(5)

    def look() -> None:
        barrier.wait(30)
        periodic.look()

    assert at_once(*[look] * 5) == []
    assert Task.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_another_takes_over_from_one_who_dies_in_the_middle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_due()
    pids: list[int] = []
    taken, dead = threading.Event(), threading.Event()
    send = periodic._send

    def die(entry: Any, task_id: str) -> str:
        if pids:
            return send(entry, task_id)
        sent = send(entry, task_id)
        pids.append(connection.connection.info.backend_pid)
        taken.set()
        dead.wait(30)
        return sent

    monkeypatch.setattr(periodic, "_send", die)

    def kill() -> None:
        taken.wait(30)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 10000)", pids)
        dead.set()
        periodic.look()

    [error] = at_once(periodic.look, kill)
    assert isinstance(error.__cause__, psycopg.OperationalError)
    task = Task.objects.get()
    assert PeriodicTask.objects.get().last_task == task.pk


@pytest.mark.django_db(transaction=True)
def test_the_watch_goes_on_until_it_is_told_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    make_due()
    stop = StopSignal()
    looks: list[int] = []
    monkeypatch.setattr(periodic, "LOOK_EVERY", 0.01)
    look = periodic.look

    def count() -> list[str]:
        looks.append(1)
        if len(looks) == 3:
            stop.set()
        return look()

    monkeypatch.setattr(periodic, "look", count)
    periodic.watch(stop)
    assert (len(looks), Task.objects.count()) == (3, 1)


def test_a_name_is_given_once() -> None:
    periodic.periodic("* * * * *")(add)
    assert {*periodic.entries()} == {NAME, add.name}
    periodic.periodic("0 * * * *")(add)
    with pytest.raises(ImproperlyConfigured, match=add.name):
        periodic.entries()


def test_a_wrong_schedule_is_refused_where_it_is_declared() -> None:
    with pytest.raises(ValueError, match="five fields"):
        periodic.periodic("@daily")


def command(*args: str) -> str:
    out = StringIO()
    call_command("periodic", *args, stdout=out)
    return out.getvalue()


@pytest.mark.django_db
def test_operators_list_run_pause_and_resume() -> None:
    assert "not yet run" in command("list")
    assert "[30 2 * * * Europe/Berlin]  next 20" in command("list")
    command("run", NAME)
    assert Task.objects.get().name == add.name
    assert command("pause", NAME) == "tidy: paused\n"
    assert "paused, not yet run" in command("list")
    assert command("resume", NAME) == "tidy: resumed\n"
    PeriodicTask.objects.create(name="gone", last_due=clock.now())
    assert "gone  is not declared any more" in command("list")
    with pytest.raises(CommandError, match=r"no periodic task 'nope'. There is:\n  tidy"):
        command("pause", "nope")


@pytest.mark.django_db
def test_staff_do_the_same_in_the_admin(admin_client: Client) -> None:
    for name in (NAME, "gone"):
        PeriodicTask.objects.create(name=name, last_due=clock.now())
    address = "/admin/tasks/periodictask/"
    assert "30 2 * * * Europe/Berlin" in admin_client.get(address).content.decode()

    def act(action: str) -> str:
        selected = {"action": action, "_selected_action": [NAME, "gone"]}
        page = admin_client.post(address, selected, follow=True)
        return " ".join(map(str, page.context["messages"]))

    assert "gone is not declared any more" in act("pause")
    assert PeriodicTask.objects.get(pk=NAME).paused
    assert "tidy goes on" in act("resume")
    assert "tidy was sent" in act("run_now")
    assert Task.objects.get().name == add.name
