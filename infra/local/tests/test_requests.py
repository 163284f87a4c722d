import errno
import json
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from local.errors import LocalError
from local.run import requests
from local.run.requests import Requests, parse_counts
from local.run.supervisor import check_scale


def test_processes_and_counts_are_read() -> None:
    assert parse_counts(["compute=3", "mailer=0"]) == {"compute": 3, "mailer": 0}


@pytest.mark.parametrize(
    "word", ["compute", "compute=", "compute=-1", "compute=many", "=65", f"compute={'9' * 5000}"]
)
def test_what_is_not_understood_is_refused_with_an_example(word: str) -> None:
    with pytest.raises(LocalError, match="make scale compute=3"):
        parse_counts([word])


def test_nothing_to_scale_is_refused_with_an_example() -> None:
    with pytest.raises(LocalError, match="make scale compute=3"):
        parse_counts([])


def test_an_unknown_process_is_refused_with_the_known_ones_and_the_way_out() -> None:
    with pytest.raises(LocalError, match=r"no process 'printer'; there are web, comp.*`make down`"):
        check_scale({"printer": 2}, {"web": "", "compute": ""})


def test_a_process_with_a_port_runs_once_at_most() -> None:
    with pytest.raises(LocalError, match="only one can run"):
        check_scale({"web": 2}, {"web": ""})


@dataclass
class Servant:
    """Scales with `scale`, and notes which processes it shall restart."""

    scale: Callable[[Mapping[str, int]], None]
    restarted: list[Collection[str]] = field(default_factory=list)

    def restart(self, names: Collection[str]) -> None:
        self.restarted.append(names)


@pytest.fixture
def answers(tmp_path: Path) -> Iterator[Callable[[dict[str, int]], str]]:
    """Ask, as `make scale` does, a server that knows only `compute`; what is done is in `state`."""
    requests = Requests(tmp_path)
    done = threading.Event()

    def scale(counts: Mapping[str, int]) -> None:
        check_scale(counts, {"compute": ""})
        requests.state.write_text(json.dumps(counts))

    def serve() -> None:
        while not done.wait(0.01):
            requests.serve(Servant(scale))

    def ask(counts: dict[str, int]) -> str:
        try:
            requests.scale(counts)
        except LocalError as error:
            return str(error)
        return ""

    serving = threading.Thread(target=serve)
    serving.start()
    yield ask
    done.set()
    serving.join()


def test_a_request_is_answered_when_it_is_done(
    tmp_path: Path, answers: Callable[[dict[str, int]], str]
) -> None:
    assert answers({"compute": 2}) == ""
    assert json.loads(Requests(tmp_path).state.read_text()) == {"compute": 2}
    assert not list((tmp_path / "requests").iterdir())


def test_each_of_many_who_ask_at_the_same_time_gets_the_answer_that_is_for_it(
    answers: Callable[[dict[str, int]], str],
) -> None:
    names = ["compute", *(f"unknown{number}" for number in range(9))]
    with ThreadPoolExecutor(len(names)) as pool:
        refusals = dict(zip(names, pool.map(lambda name: answers({name: 1}), names), strict=True))
    assert refusals.pop("compute") == ""
    assert all(f"no process {name!r}" in refusals[name] for name in refusals)


def test_nobody_waits_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "ANSWER_SECONDS", 0.2)
    with pytest.raises(LocalError, match="has not answered"):
        Requests(tmp_path).scale({"compute": 1})
    assert not list((tmp_path / "requests").iterdir()), (
        "a request that nobody waits for is done later"
    )


@pytest.mark.parametrize(
    "request_text",
    [
        *("", "compute=2", "[1]", "null", "{", "[" * 9_999, f"[{'9' * 9_000}]", "\udcff", "{}"),
        *('{"compute": 2}', '{"scale": 2}', '{"scale": ["compute"]}', '{"end": ["compute"]}'),
        *('{"restart": "compute"}', '{"restart": [1]}', '{"restart": {"compute": 1}}'),
        *(
            f'{{"scale": {counts}}}'
            for counts in (
                *('{"compute": -1}', '{"compute": 65}', '{"compute": 1e999}', '{"compute": true}'),
                *('{"compute": null}', '{"compute": "2"}', '{"\\ud800": 1}', '{"extra": 1}'),
                json.dumps({f"compute{number}": 1 for number in range(5_000)}),
            )
        ),
    ],
)
def test_whatever_is_asked_the_supervisor_goes_on_and_says_what_is_wrong(
    tmp_path: Path, request_text: str
) -> None:
    folder = tmp_path / "requests"
    folder.mkdir()
    (folder / "a.request").write_bytes(request_text.encode(errors="surrogateescape"))
    scaled: list[Mapping[str, int]] = []

    def scale(counts: Mapping[str, int]) -> None:
        check_scale(counts, {"compute": ""})
        scaled.append(counts)

    servant = Servant(scale)
    Requests(tmp_path).serve(servant)
    assert not scaled
    assert not servant.restarted
    assert (folder / "a.answer").read_text().count("make") >= 1
    assert not (folder / "a.request").exists()


def test_a_machine_that_can_start_no_more_does_not_end_the_supervisor(tmp_path: Path) -> None:
    folder = tmp_path / "requests"
    folder.mkdir()
    (folder / "a.request").write_text('{"scale": {"compute": 2}}')
    (folder / "b.request").mkdir()

    def scale(counts: Mapping[str, int]) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    Requests(tmp_path).serve(Servant(scale))
    assert "Resource temporarily unavailable" in (folder / "a.answer").read_text()
