"""The few ways in which work can fail (docs/decisions/0003-three-ways-to-fail.md)."""


class WarrenError(Exception):
    """Base of all errors that Warren itself raises."""


class TransientError(WarrenError):
    """The same request may succeed later: web puts it back into the outbox with a later time."""


class TaskReturnedError(TransientError):
    """The worker was stopped during the run: web sends the same request again at once."""


class PostponedError(TransientError):
    """The run did nothing, to keep a limit: web sends the same request again after ``seconds``.

    That is no failure. So it happens however long ago the task was asked for.
    """

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message, seconds)  # a pickle of the error keeps both, as they are in args
        self.message = message
        self.seconds = seconds

    def __str__(self) -> str:
        return self.message


class PermanentError(WarrenError):
    """A final answer: the request failed, and repeating it would fail again.

    ``kind`` is the name of the failure for the client; by default it is the class's name.
    """

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message, kind)  # a pickle of the error keeps both, as they are in args
        self.message = message
        self.kind = kind or type(self).__name__

    def __str__(self) -> str:
        return self.message


def result_too_large(limit: int) -> PermanentError:
    """Make the error for a result of more than ``limit`` KiB (JOB_SIZE_LIMIT)."""
    return PermanentError(f"the result is larger than its limit of {limit} KiB", "ResultTooLarge")


class MalformedMessageError(WarrenError):
    """A message does not follow its contract, and so becomes a dead letter."""


class TopologyError(WarrenError):
    """The broker's exchanges and queues are not the ones that this version declares."""


class MissingTopologyError(TopologyError):
    """Exchanges, queues or the marker are missing. A process can wait until they are declared."""


class SettingsError(WarrenError):
    """Settings are missing or wrong; the message names each with an example."""
