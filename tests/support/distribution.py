"""Which process of pytest-xdist runs which tests: a module at a time, and few of them a stack.

The tests in ``tests/`` run all of Warren. Each process that runs one of them starts it, so no more
than STACKS processes do, and these begin with it.
"""

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]
from xdist.workermanage import WorkerController  # type: ignore[import-untyped]

STACKS = 2
# Modules that take long, with workers, servers or outages of their own, come before the many short
# ones, so that none of them is left for the end.
FIRST = (
    "infra/local/tests/test_odd_paths.py",
    "infra/local/tests/test_new_service_at_work.py",
    "services/web/web/ops/tests/test_serving.py",
    "services/web/web/ops/tests/test_openapi.py",
    "services/mailer/",
    "services/compute/",
    "services/web/web/messaging/",
)


class Distribution(LoadScopeScheduling):  # type: ignore[misc]
    """Gives the next module to whoever has done the one before."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0]

    def _assign_work_unit(self, node: WorkerController) -> None:
        if module := self._next(node):
            self.workqueue.move_to_end(module, last=False)
            super()._assign_work_unit(node)

    def _reschedule(self, node: WorkerController) -> None:
        if self.workqueue and not self._next(node):
            node.shutdown()
        else:
            super()._reschedule(node)

    def _next(self, node: WorkerController) -> str | None:
        runs_stack = node in self.nodes[:STACKS]

        def rank(module: str) -> int:
            return 0 if needs_stack(module) else 1 if module.startswith(FIRST) else 2

        fit = [module for module in self.workqueue if runs_stack or not needs_stack(module)]
        return min(fit, key=rank, default=None)


def needs_stack(module: str) -> bool:
    """Whether the tests of a module, given by its path, run all of Warren."""
    return module.startswith("tests/") and not module.startswith("tests/support/")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Distribution:
    """Tell pytest-xdist."""
    return Distribution(config, log)
