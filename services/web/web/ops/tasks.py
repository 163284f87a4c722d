"""Warren's own periodic work."""

from typing import Any

import celery

from web.ops import retention
from web.tasks.periodic import periodic

AT_A_TIME = 300.0  # seconds, well below a run's time limit
shared_task: Any = celery.shared_task  # the stubs do not know it with these options


@periodic("17 3 * * *")
@shared_task(name="web.prune")
def prune() -> dict[str, int]:
    """Delete what has been kept for long enough; what is left over is the next run's."""
    deleted, complete = retention.prune(AT_A_TIME)
    if not complete:
        prune.delay()
    return deleted
