import pytest

from local.restarts import EX_CONFIG, LONGEST_PAUSE, SETTLED_SECONDS, Restarts

SHORT, LONG = SETTLED_SECONDS / 2, SETTLED_SECONDS * 2


@pytest.fixture
def settled() -> Restarts:
    restarts = Restarts()
    restarts.note_life(LONG)
    return restarts


def test_pauses_grow_to_a_limit_while_a_process_dies_soon(settled: Restarts) -> None:
    pauses = [settled.note_death(SHORT, 1) for _ in range(2000)]
    assert pauses[:6] == [1, 2, 4, 8, 16, LONGEST_PAUSE]
    assert set(pauses[6:]) == {LONGEST_PAUSE}


def test_pauses_begin_anew_after_a_longer_life(settled: Restarts) -> None:
    assert [settled.note_death(SHORT, 1) for _ in range(3)] == [1, 2, 4]
    assert settled.note_death(LONG, 1) == 1


def test_what_has_once_lived_is_started_again_whatever_it_ends_with(settled: Restarts) -> None:
    assert settled.note_death(SHORT, EX_CONFIG) == 1


def test_a_wrong_setting_at_the_start_is_hopeless_at_once() -> None:
    assert Restarts().note_death(SHORT, EX_CONFIG) is None


def test_the_third_death_of_what_never_lived_is_hopeless() -> None:
    restarts = Restarts()
    assert [restarts.note_death(SHORT, 1) for _ in range(3)] == [1, 2, None]
