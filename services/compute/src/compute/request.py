"""The compute worker's view of a task message."""

from typing import Any

from compute.app import catalogue, settings
from compute.limits import Limits
from contracts.errors import PermanentError
from worker.task import AnsweringRequest


class LimitedRequest(AnsweringRequest):
    """A request that keeps its computation's time limits, unless the sender has set others."""

    def __init__(self, message: Any, **options: Any) -> None:
        super().__init__(message, **options)
        hard, soft = self.time_limits
        own = _limits(self.kwargs)
        self.time_limits = (hard or own.time_limit, soft or own.soft_time_limit)
        # The pool's process reads them from here, for the error that names the limit.
        self.request_dict["timelimit"] = self.time_limits


def _limits(payload: Any) -> Limits:
    try:
        return catalogue.find(payload["computation"]).limits
    except (PermanentError, TypeError, KeyError):
        return settings.limits  # the run itself will name the error
