"""Chains, groups, chords and callbacks, which web's rows hold together."""

from typing import Any

import pytest
from celery import chain, chord, group, signature
from celery.exceptions import ChordError
from celery.result import AsyncResult, GroupResult
from django.db import transaction
from kombu.exceptions import EncodeError

from web.messaging.models import OutboxMessage
from web.tasks.application import app
from web.tasks.models import Task, TaskGroup
from web.tasks.testing import drain
from web.tasks.tests.shop import add, fail, flaky, silent, total

pytestmark = pytest.mark.django_db


def fresh(result: Any) -> Any:
    return AsyncResult(result.id, app=app)


def test_signatures_are_sent_as_tasks() -> None:
    results = [
        add.s(1, 2).delay(), add.si(1, 2).apply_async(), add.s(1).delay(2),
        signature("web.tasks.tests.shop.add", (1, 2)).apply_async(countdown=1),
        add.s(1, 2).apply_async(),
    ]  # fmt: skip
    drain()
    assert [result.get() for result in results] == [3] * 5


def test_a_chain_hands_on_what_it_has() -> None:
    result: Any = chain(add.s(1, 2), add.s(10), add.s(100)).apply_async()
    assert [row.state for row in Task.objects.all()] == ["queued"] * 3
    assert OutboxMessage.objects.count() == 1
    drain()
    assert (fresh(result).get(), result.parent.get(), result.parent.parent.get()) == (113, 13, 3)
    assert [value for _, value in result.parent.parent.collect()] == [3, 13, 113]


def test_a_failure_ends_all_that_follows_in_a_chain() -> None:
    result = (fail.s("no") | add.s(1) | add.s(2)).apply_async()
    drain()
    for each in (result, result.parent, result.parent.parent):
        with pytest.raises(ValueError, match="no"):
            fresh(each).get(timeout=1)


def test_a_callback_is_sent_once_with_the_result() -> None:
    result = add.apply_async((1, 2), link=[add.s(10), add.s(20)], link_error=fail.s())
    assert len(drain()) == 3
    assert [child.get() for child in fresh(result).children or []] == [[13, 23]]


def test_an_error_calls_its_callback() -> None:
    fail.apply_async(("no",), link_error=silent.si(1))
    assert drain() == [fail.name, silent.name]


def test_a_group_is_stored_together_or_not_at_all() -> None:
    with pytest.raises(EncodeError):
        group(add.s(1, 1), add.s(1, object())).apply_async()
    assert not Task.objects.exists()
    result: Any = group(add.s(n, n) for n in range(3)).apply_async()
    drain()
    assert (result.get(), result.successful(), result.completed_count()) == ([0, 2, 4], True, 3)


def test_a_group_can_be_saved_and_found_again() -> None:
    result: Any = group(add.s(1, 1), add.s(2, 2)).apply_async()
    result.save()
    drain()
    found = GroupResult.restore(result.id, app=app)
    assert found is not None
    assert found.get() == [2, 4]
    found.delete()
    assert not TaskGroup.objects.exists()


def test_maps_and_chunks_are_tasks() -> None:
    mapped, starred = total.map([[1, 2], [3]]).apply_async(), add.starmap([(1, 2), (3, 4)]).delay()
    chunked = add.chunks([(n, n) for n in range(4)], 2).apply_async()
    drain()
    assert (mapped.get(), starred.get(), chunked.get()) == ([3, 3], [3, 7], [[0, 2], [4, 6]])


@pytest.mark.parametrize(
    "make",
    [
        lambda: chord([add.s(1, 2), flaky.s(2)], total.s()).apply_async(),
        lambda: (group(add.s(1, 2), flaky.s(2)) | total.s()).apply_async(),
        lambda: chain(add.si(0, 0), group(add.si(1, 2), flaky.si(2)), total.s()).apply_async(),
        lambda: chord([add.s(1, 1) | add.s(1), flaky.s(2)])(total.s()),
        lambda: chord([add.s(1, 2), flaky.s(2)], chain(total.s(), add.s(0))).apply_async(),
    ],
    ids=["chord", "group to task", "chain with a group", "chains inside", "chain as body"],
)
def test_a_chord_goes_on_when_all_have_ended(make: Any) -> None:
    result = make()
    drain()
    assert fresh(result).get(timeout=1) == 5


@pytest.mark.parametrize(
    "make",
    [
        lambda: chord([add.s(1, 2), fail.s("no")], total.s()).apply_async(),
        lambda: chain(add.si(0, 0), group(add.si(1, 2), fail.si("no")), total.s()).apply_async(),
        lambda: chord([add.s(1, 1), fail.s("no") | add.s(1)], total.s()).apply_async(),
        lambda: chord([add.s(1, 2), fail.s("no")], chain(total.s(), add.s(0))).apply_async(),
    ],
    ids=["chord", "chain with a group", "chain inside", "chain as body"],
)
def test_a_chord_fails_with_one_of_its_tasks(make: Any) -> None:
    result = make()
    ran = drain()
    assert total.name not in ran
    with pytest.raises(ChordError, match="no"):
        fresh(result).get(timeout=1)


def test_a_chain_that_fails_before_its_chord_fails_it() -> None:
    result = chain(fail.si("no"), group(add.si(1, 2), add.si(1, 2)), total.s()).apply_async()
    drain()
    with pytest.raises((ValueError, ChordError), match="no"):
        fresh(result).get(timeout=1)


def test_a_group_as_the_body_of_a_chord() -> None:
    result = chord([add.s(1, 2), add.s(3, 4)], group(total.s(), total.s())).apply_async()
    drain()
    assert result.get(timeout=1) == [10, 10]


def test_a_chord_in_a_chord() -> None:
    inner = chord([add.s(1, 2), add.s(3, 4)], total.s())
    result = chord([inner, add.s(5, 5)], total.s()).apply_async()
    drain()
    assert fresh(result).get(timeout=1) == 20


def test_a_body_that_cannot_be_sent_fails_and_stops_nothing_else() -> None:
    big = "x" * 200_000
    body = chord([add.s(big, big[:1]) for _ in range(25)], total.s()).apply_async()
    other = add.delay(1, 2)
    drain()
    assert other.get() == 3
    with pytest.raises(ChordError, match="RefusedError"):
        fresh(body).get(timeout=1)


def test_what_is_sent_in_a_transaction_that_fails_is_not() -> None:
    with transaction.atomic():
        chord([add.s(1, 1), add.s(2, 2)], total.s()).apply_async()
        transaction.set_rollback(True)
    assert (Task.objects.count(), TaskGroup.objects.count()) == (0, 0)


def test_an_empty_group_and_an_empty_header_end_at_once() -> None:
    assert group().apply_async().get() == []
    result = chord([], total.s()).apply_async()
    drain()
    assert result.get() == 0
