"""Celery as Warren's workers run it: no message is lost, and none stops a worker."""

import runtime  # noqa: F401 -- it has to come before Celery
