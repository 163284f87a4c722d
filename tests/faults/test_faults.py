"""The short form of the fault suite: nothing lost, nothing twice, whatever breaks."""

from collections.abc import Iterator, Sequence

import pytest

from tests.faults import acts, report, trial
from tests.faults.catalogue import FAULTS, Fault
from tests.faults.load import Credentials
from tests.faults.servers import running_stage
from tests.faults.stage import Stage

assert acts  # imported so that the faults are registered
QUICK = [one for one in FAULTS if one.quick]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with running_stage(tmp_path_factory.mktemp("faults"), seed=1) as running:
        running.long = False
        yield running


@pytest.fixture(scope="module")
def clients(stage: Stage) -> Sequence[Credentials]:
    return trial.users(stage)


@pytest.mark.timeout(600)  # so long a trial may wait for what never comes, to tell what is missing
@pytest.mark.parametrize(
    "fault", [pytest.param(one, id=f"{one.group}, {one.name}") for one in QUICK]
)
def test_every_promise_is_kept(stage: Stage, clients: Sequence[Credentials], fault: Fault) -> None:
    verdict = trial.run(stage, fault, clients)
    assert verdict.kept, f"{report.head()}\n{report.line(verdict)}\n{stage.stack.tails()}"
