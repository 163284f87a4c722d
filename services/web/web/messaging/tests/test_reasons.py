"""Each reason of a dead letter says what it means, and the operators' page says the same."""

from pathlib import Path

from web.messaging.reasons import OF_ANY, Reason, way_out

PAGE = Path(__file__).parents[5] / "docs" / "operations.md"


def test_the_operators_page_explains_each_reason_as_the_code_does() -> None:
    rows = [f"| `{each}` | {each.meaning} | {each.way_out} |" for each in Reason]
    table = "\n".join(["| reason | what happened | what to do |", "|---|---|---|", *rows])
    assert f"\n{table}\n" in PAGE.read_text("utf-8"), f"put this there:\n{table}"


def test_a_reason_of_rabbitmqs_own_has_a_way_out_too() -> None:
    assert way_out("delivery_limit") == Reason.CRASHED.way_out
    assert way_out("something_new") == OF_ANY
