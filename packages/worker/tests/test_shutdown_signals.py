"""REMAP_SIGTERM takes effect only if it is set before Celery and billiard are first imported."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import worker.{module}
import billiard.common, celery.apps.worker
print(billiard.common.TERM_SIGNAME, celery.apps.worker.REMAP_SIGTERM)
"""


@pytest.mark.parametrize("module", ["app", "consumer", "task", "backend"])
def test_sigterm_is_remapped_whichever_module_of_ours_comes_first(module: str) -> None:
    environment = {name: v for name, v in os.environ.items() if name != "REMAP_SIGTERM"}
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(module=module)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert answer.stdout.split() == ["SIGQUIT", "SIGQUIT"]
