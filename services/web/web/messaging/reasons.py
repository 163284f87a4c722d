"""Why a message became a dead letter, what that means, and what an operator does about it."""

from enum import StrEnum


class Reason(StrEnum):
    """The reasons that Warren knows. Any other comes from RabbitMQ, in the header ``x-death``."""

    meaning: str
    way_out: str

    def __new__(cls, value: str, meaning: str, way_out: str) -> "Reason":
        """Make a member of its value, meaning and way out."""
        member = str.__new__(cls, value)
        member._value_, member.meaning, member.way_out = value, meaning, way_out
        return member

    CRASHED = (
        "delivery_limit",
        "the worker died, or lost its connection, at each of four deliveries",
        "read the worker's log for the task's id (memory? a bug?), mend it, then replay",
    )
    REJECTED = (
        "rejected",
        "the task raised what its code did not foresee, or refused the message: `detail` names it",
        "mend the task, or deploy the version that knows it (a mail template, say), then replay",
    )
    MALFORMED = (
        "malformed",
        "neither a valid task message nor a valid result: `detail` says what is wrong",
        "find the sender by the headers; update an older web or worker and replay, or discard",
    )
    UNROUTED = (
        "unrouted",
        "no queue is bound to its routing key, and Warren declares none for it",
        "correct the sender, and discard: a replay brings it back",
    )
    MISPLACED = (
        "misplaced",
        "a whole task that somebody put into `web.dead` or `warren.dead` by hand",
        "replay: it goes where its task belongs",
    )
    RETURNED = (
        "returned",
        "the broker returned it to the relay: the exchange or queue that it names is not there",
        "correct the sender, and discard: a replay brings it back",
    )
    UNENCODABLE = (
        "unencodable",
        "no AMQP message can be made of it",
        "discard",
    )
    UNMADE = (
        "unmade",
        "no message can be made of a row that was to be sent again: `detail` names the field",
        "mend the row, then replay: the message is made from it; or discard",
    )
    EXPIRED = (
        "expired",
        "a policy of the broker dropped it because of its age; Warren sets none",
        "remove the policy, then replay",
    )
    MAXLEN = (
        "maxlen",
        "a policy of the broker dropped it because its queue was full; Warren sets none",
        "remove the policy, then replay",
    )


OF_ANY = "replay or discard"  # the way out of a reason that is not one of these


def way_out(reason: str) -> str:
    """Return what an operator does about a reason, whoever gave it."""
    known = {str(each): each for each in Reason}
    return known[reason].way_out if reason in known else OF_ANY
