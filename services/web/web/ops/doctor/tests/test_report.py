"""What the doctor says, to people and to scripts."""

import json

import pytest

from web.ops.doctor import report
from web.ops.doctor.examination import Examined
from web.ops.doctor.finding import Finding, Level, problem, unknown, warn, well

WELL = Examined("one", [well("fine")])
WARNED = Examined("two", [warn("slow", "wait")])
ILL = Examined("three", [problem("gone", "start it"), warn("old", "renew it")])
UNSEEN = Examined("four", [unknown("not looked at")])


def plain(_level: Level, text: str) -> str:
    return text


@pytest.mark.parametrize(
    ("examined", "status", "words"),
    [
        ([WELL], 0, "all is well"),
        ([WELL, WARNED], 3, "1 warning"),
        ([WARNED, ILL], 1, "1 problem, 2 warnings"),
        ([WELL, UNSEEN], 1, "1 not looked at"),
    ],
)
def test_the_exit_status_is_that_of_the_worst(
    examined: list[Examined], status: int, words: str
) -> None:
    assert report.exit_status(examined) == status
    assert report.summary(examined) == words


def test_each_finding_is_a_line_with_its_way_out_below() -> None:
    assert report.lines(ILL, plain) == [
        "problem  three        gone",
        "                      → start it",
        "warning  three        old",
        "                      → renew it",
    ]


def test_what_servers_say_stays_on_a_line_and_holds_no_password() -> None:
    said = Finding(Level.PROBLEM, "no way to\n  amqp://warren:planted-password@rabbitmq", "mend it")
    examined = Examined("broker", [said])
    assert report.lines(examined, plain)[0].endswith("no way to amqp://warren:…@rabbitmq")
    assert "planted-password" not in report.as_json([examined])


def test_programs_get_all_of_it() -> None:
    shown = json.loads(report.as_json([WELL, ILL]))
    assert shown["status"] == "problem"
    assert shown["findings"][1] == {
        "check": "three",
        "level": "problem",
        "found": "gone",
        "way_out": "start it",
    }
