import json
import threading
from pathlib import Path

import pytest

from local.errors import LocalError
from local.scaling import ScaleRequests, parse_counts
from local.supervisor import check_scale


def test_processes_and_counts_are_read() -> None:
    assert parse_counts(["compute=3", "mailer=0"]) == {"compute": 3, "mailer": 0}


@pytest.mark.parametrize("word", ["compute", "compute=", "compute=-1", "compute=many", "=65"])
def test_what_is_not_understood_is_refused_with_an_example(word: str) -> None:
    with pytest.raises(LocalError, match="make scale compute=3"):
        parse_counts([word])


def test_nothing_to_scale_is_refused_with_an_example() -> None:
    with pytest.raises(LocalError, match="make scale compute=3"):
        parse_counts([])


def test_an_unknown_process_is_refused_with_the_known_ones() -> None:
    with pytest.raises(LocalError, match=r"no process printer; there are web, compute"):
        check_scale({"printer": 2}, {"web": "", "compute": ""})


def test_a_process_with_a_port_runs_once_at_most() -> None:
    with pytest.raises(LocalError, match="only one can run"):
        check_scale({"web": 2}, {"web": ""})


def test_a_request_is_taken_once_and_answered_by_the_state(tmp_path: Path) -> None:
    requests = ScaleRequests(tmp_path)
    asking = threading.Thread(target=requests.ask, args=({"compute": 2},))
    asking.start()
    while (taken := requests.take()) is None:
        pass
    assert taken == {"compute": 2}
    assert requests.take() is None
    requests.state.write_text(json.dumps({"compute.1": 1, "compute.2": 2}))
    asking.join(timeout=5)
    assert not asking.is_alive()
