"""Work that is declared and nothing more: its rows, in whatever order events arrive."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, models, transaction
from django.db.models.functions import Now
from django.test.utils import isolate_apps
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from contracts.errors import MalformedMessageError
from contracts.events import TaskError, TaskEvent, TaskState
from web.jobs.tests.factories import event
from web.tracking import rules
from web.tracking.engine import STATES, Column, Engine, Tracking
from web.tracking.models import TrackedTask
from web.tracking.retries import RetryPolicy

pytestmark = pytest.mark.django_db
S = TaskState
TEXT = "four words and more"


class Work(SimpleNamespace):
    """A kind of work whose messages are noted instead of sent."""

    engine: Engine[Any]
    model: Any
    sent: list[Any]


@pytest.fixture
def work() -> Iterator[Work]:
    with isolate_apps("web.tracking"):

        class Count(TrackedTask):
            text = models.TextField()
            words = models.IntegerField(null=True)
            error = models.TextField(default="")

            class Meta:
                app_label = "tracking"

    sent: list[Any] = []

    def dispatch(count: Any, **when: Any) -> None:
        if not count.text:
            raise MalformedMessageError("there is no text")
        sent.append(count.pk)

    tracking = Tracking(
        kind="texts.count_words",
        service="texts",
        model=Count,
        dispatch=dispatch,
        retry=lambda: RetryPolicy(first=5, longest=600, keep_trying_for=3600),
        columns=[Column("words", "int", lambda event: event.result)],
    )
    with connection.schema_editor() as editor:
        editor.create_model(Count)
    yield Work(engine=Engine(tracking), model=Count, sent=sent)
    with connection.schema_editor() as editor:
        editor.delete_model(Count)


events = st.builds(
    event, st.none(), st.sampled_from(TaskState), st.integers(1, 4), done=st.integers(0, 10)
)


@settings(max_examples=100)
@given(lot=st.lists(events, min_size=1, max_size=8), cuts=st.sets(st.integers(1, 7)))
def test_rows_follow_the_rule_as_events_of_one_batch_do(
    lot: list[TaskEvent], cuts: set[int], work: Work
) -> None:
    with transaction.atomic():
        count = work.model.objects.create(text=TEXT)
        # Progress has no column here, so that of two reports of one run either may count.
        history = [structs.replace(each, task_id=str(count.pk), progress=None) for each in lot]
        edges = sorted({0, len(history), *(cut for cut in cuts if cut < len(history))})
        for start, end in pairwise(edges):
            work.engine.apply(history[start:end])
        count.refresh_from_db()
    expected = rules.latest(history)[count.pk]
    assert count.state == STATES[expected.state]
    if expected.state != S.SUCCESS:  # of several any may be the one that counts
        assert (count.attempt, count.phase) == (expected.attempt, rules.phase(expected))


def test_one_statement_brings_a_whole_batch_up_to_date(
    work: Work, django_assert_num_queries: Any
) -> None:
    counts = [work.model.objects.create(text=TEXT) for _ in range(20)]
    batch = [structs.replace(event(each.pk, S.SUCCESS), result=4) for each in counts]
    with django_assert_num_queries(1):
        work.engine.apply(batch)
    assert set(work.model.objects.values_list("state", "words")) == {("succeeded", 4)}


def test_what_cannot_be_published_again_stops_no_other(work: Work) -> None:
    bad, good = work.model.objects.create(text=""), work.model.objects.create(text=TEXT)
    failure = TaskError("TransientError", "busy")
    work.engine.apply(
        [structs.replace(event(each.pk, S.RETRY), error=failure) for each in (bad, good)]
    )
    assert work.sent == [good.pk]
    bad.refresh_from_db()
    good.refresh_from_db()
    assert (bad.state, bad.error) == ("failed", "its message cannot be made: there is no text")
    assert (good.state, good.error) == ("queued", "busy")
    assert good.dispatched_at > good.queued_at


def test_what_has_been_tried_for_long_fails(work: Work) -> None:
    count = work.model.objects.create(text=TEXT)
    work.model.objects.update(queued_at=Now() - timedelta(hours=1))
    work.engine.apply([event(count.pk, S.RETRY)])
    count.refresh_from_db()
    assert count.state == "queued"  # it may have waited in a queue all the while
    work.engine.apply([event(count.pk, S.RETRY, attempt=2)])
    count.refresh_from_db()
    assert (count.state, count.error) == ("failed", "attempts end 1:00:00 after the request")
    assert work.engine.errors([count.pk]) == {count.pk: "attempts end 1:00:00 after the request"}
    assert work.engine.replay([count.pk, uuid4()]) == {count.pk: 2}
    count.refresh_from_db()
    assert (count.state, count.error) == ("queued", "")


def test_what_got_lost_is_published_again_or_given_up(work: Work) -> None:
    first, second = (work.model.objects.create(text=TEXT) for _ in range(2))
    work.engine.publish_again([first.pk])
    work.engine.give_up([second.pk], "its message got lost")
    assert work.sent == [first.pk]
    assert list(work.engine.unfinished()) == [first]
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, first.republished) == ("queued", 1)
    assert (second.state, second.error) == ("failed", "its message got lost")
