"""The few ways in which work ends other than well (docs/decisions/0003-three-ways-to-fail.md)."""


class WarrenError(Exception):
    """Something that Warren itself has a name for."""


class TransientError(WarrenError):
    """The same request may succeed later: web puts it back into the outbox with a later time."""


class TaskReturnedError(TransientError):
    """The worker was stopped in the middle: web sends the same request again at once."""


class PermanentError(WarrenError):
    """A final answer: the request failed, and repeating it would fail again.

    ``kind`` names the failure to the client; without it the class's own name does.
    """

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message, kind)  # both in args: the error crosses a process as a pickle
        self.message = message
        self.kind = kind or type(self).__name__

    def __str__(self) -> str:
        return self.message


def result_too_large(limit: int) -> PermanentError:
    """Say of a result that it is larger than ``limit`` KiB (JOB_SIZE_LIMIT)."""
    return PermanentError(f"the result is larger than its limit of {limit} KiB", "ResultTooLarge")


class MalformedMessageError(WarrenError):
    """A message does not follow its contract: it belongs into the dead letters."""


class TopologyError(WarrenError):
    """The broker's exchanges and queues are not the ones that this version declares."""


class MissingTopologyError(TopologyError):
    """Some of them do not exist and none differs: whoever waits may see them declared."""


class SettingsError(WarrenError):
    """Settings are missing or wrong; the message names each with an example."""
