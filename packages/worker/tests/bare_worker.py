"""A worker that has one task and nothing else: ``python bare_worker.py threads`` or ``prefork``."""

import sys

from contracts.tasks import RUN_COMPUTATION, RunComputation
from runtime.environment import Environment
from worker.app import WorkerSettings, create_app
from worker.main import run
from worker.task import ContractTask

app = create_app("compute", WorkerSettings.read(Environment(), concurrency=2), pool=sys.argv[1])


@app.task(name=RUN_COMPUTATION.name, base=ContractTask, contract=RUN_COMPUTATION)
def add(payload: RunComputation) -> int:
    """Add whatever numbers there are."""
    return sum(payload.arguments.values())


if __name__ == "__main__":
    run(app)
