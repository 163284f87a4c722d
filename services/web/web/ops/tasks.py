"""Warren's own periodic work."""

from typing import Any

import celery

from web.ops import retention
from web.tasks.periodic import periodic

AT_A_TIME = 300.0  # seconds, well below the time limit of a run
shared_task: Any = celery.shared_task  # the stubs do not know it with these options


@periodic("17 3 * * *")
@shared_task(name="web.prune")
def prune() -> dict[str, int]:
    """Delete old rows; if time runs out, another run deletes the rest."""
    deleted, complete = retention.prune(AT_A_TIME)
    if not complete:
        prune.delay()
    return deleted
