"""``manage.py dead_letters`` for people and for scripts."""

import json
import os
import pty
from importlib import resources
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from web.jobs.models import Job
from web.jobs.tests.factories import make_job, make_user
from web.mail.models import Email
from web.messaging.letters import repair
from web.messaging.models import DeadLetter, OutboxMessage
from web.messaging.tests.factories import dead_message, save

pytestmark = pytest.mark.django_db


@pytest.fixture
def job() -> Job:
    return make_job(make_user(), state="failed", attempt=1, phase=3)


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("dead_letters", *arguments, stdout=output, stderr=output)
    return output.getvalue()


def test_letters_are_listed_for_people_and_for_programs(job: Job) -> None:
    letter, other = save(dead_message(job.id)), save(dead_message(uuid4(), b"{}"))
    assert run("list").splitlines()[-1] == "2 waiting"
    assert run("list", "--reason", "rejected").splitlines()[-1] == "1 waiting"
    assert run("list", "--task", "mailer.send_email") == "0 waiting\n"
    assert run("list", "--state", "all", "--queue", "compute", "--limit", "1").count("\n") == 2
    [first, second] = json.loads(run("list", "--json"))
    assert (first["id"], second["id"]) == (other.pk, letter.pk)
    assert second["task_id"] == str(job.id)


def test_a_letter_is_shown_for_people_and_for_programs(job: Job) -> None:
    letter = save(dead_message(job.id, kwargsrepr="planted"))
    text = run("show", str(letter.pk))
    assert '"computation": "add"' in text
    assert "planted" not in text
    assert json.loads(run("show", str(letter.pk), "--json"))["subject"]["kind"] == "job"
    with pytest.raises(CommandError, match="there is no dead letter 999"):
        run("show", "999")


def test_a_letter_to_practise_on_is_made_of_a_mail_without_a_template() -> None:
    told = run("practise")
    mail = Email.objects.get()
    assert str(mail.pk) in told
    assert OutboxMessage.objects.get().task_id == mail.pk
    templates = resources.files("mailer").joinpath("templates")
    assert not templates.joinpath(mail.template).is_dir()


def test_a_replay_names_who_did_it(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    letter = save(dead_message(job.id))
    assert run("replay", str(letter.pk)) == "1 replayed\n"
    letter.refresh_from_db()
    assert (letter.state, letter.handled_by) == ("replayed", "ada on the command line")
    assert OutboxMessage.objects.get().task_id == job.id


def test_what_is_refused_is_named_and_the_rest_done(job: Job) -> None:
    letter, gone = save(dead_message(job.id)), save(dead_message(uuid4()))
    with pytest.raises(CommandError, match="1 could not be replayed") as failed:
        run("replay", str(gone.pk), str(letter.pk))
    assert failed.value.returncode == 1
    letter.refresh_from_db()
    assert letter.state == "replayed"
    assert not json.loads(run("list", "--json", "--state", "replayed", "--reason", "malformed"))


def test_all_of_a_reason_are_dealt_with_and_progress_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(repair, "BATCH", 2)
    kept = save(dead_message(uuid4()))
    for _ in range(3):
        save(dead_message(uuid4(), b"{}"))
    told = run("discard", "--reason", "malformed", "--yes")
    assert told == "2 done, 1 remain\n3 discarded\n"
    assert repair.waiting() == [kept.pk]
    report = json.loads(run("discard", "--all", "--yes", "--json"))
    assert report == {"done": 1, "refused": 0, "refusals": [], "remaining": 0}


@pytest.mark.parametrize(
    "arguments", [[], ["1", "--all"], ["1", "--reason", "malformed"], ["--all"]]
)
def test_wrong_usage_changes_nothing_and_is_told_apart(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", StringIO())
    letter = save(dead_message(uuid4()))
    with pytest.raises(CommandError) as wrong:
        run("discard", *arguments)
    assert wrong.value.returncode == 2
    letter.refresh_from_db()
    assert letter.state == "waiting"


@pytest.mark.parametrize(("answer", "left"), [("y", 0), ("", 1), ("no", 1)])
def test_on_a_terminal_it_asks_before_it_deals_with_many(
    answer: str, left: int, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    save(dead_message(uuid4()))
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "r") as terminal, os.fdopen(ours, "w") as keyboard:
        monkeypatch.setattr("sys.stdin", terminal)
        keyboard.write(f"{answer}\n")
        keyboard.flush()
        if left:
            with pytest.raises(CommandError, match="nothing done"):
                run("discard", "--all")
        else:
            assert run("discard", "--all") == "1 discarded\n"
    assert "discard 1 dead letters? [y/N]" in capfd.readouterr().out
    assert DeadLetter.objects.filter(state="waiting").count() == left
