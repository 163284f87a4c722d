"""What a mail server may do wrong, and how often."""

import random
from dataclasses import dataclass
from enum import StrEnum

FOREVER = float("inf")


class Stage(StrEnum):
    """Where in the conversation."""

    CONNECT = "connect"  # before the greeting; only to wait and to drop
    RCPT = "rcpt"
    DATA = "data"  # instead of asking for the mail
    CONTENT = "content"  # while the mail arrives
    END = "end"  # when the mail has arrived
    AFTER = "after"  # when it has been answered


@dataclass(frozen=True)
class Fault:
    """What the server does at a stage instead of going on: waits, and answers or drops, or both.

    At the END a mail counts as taken, whether or not its client learns that, unless the answer is
    a refusal.

    Args:
        stage: of the conversation.
        answer: given instead of the usual one.
        seconds: of silence before anything else happens.
        drop: the connection is closed; after the answer, if there is one.
    """

    stage: Stage
    answer: str = ""
    seconds: float = 0.0
    drop: bool = False

    @property
    def refuses(self) -> bool:
        """Whether the mail is not taken."""
        return self.answer[:1] in ("4", "5")


GREYLISTED = Fault(Stage.RCPT, "450 4.2.0 Greylisted, please try again later")
NO_SUCH_USER = Fault(Stage.RCPT, "550 5.1.1 No such user here")
BUSY = Fault(Stage.END, "451 4.3.0 Try again later")
REJECTED = Fault(Stage.END, "554 5.7.1 Message rejected")
TOO_MANY_CONNECTIONS = Fault(Stage.CONNECT, "421 4.7.0 Too many connections", drop=True)
DROPPED_AT_CONNECT = Fault(Stage.CONNECT, drop=True)
DROPPED_BEFORE_DATA = Fault(Stage.DATA, drop=True)
DROPPED_DURING_DATA = Fault(Stage.CONTENT, drop=True)
DROPPED_AFTER_DATA = Fault(Stage.END, drop=True)  # taken, and the client cannot know
NEVER_ANSWERED = Fault(Stage.END, seconds=FOREVER)  # the same, after the client's patience
ONE_MAIL_EACH = Fault(Stage.AFTER, drop=True)  # no connection is kept open


def slow(seconds: float) -> Fault:
    """Make a server that takes its time over each mail."""
    return Fault(Stage.END, seconds=seconds)


@dataclass(frozen=True)
class Disturbance:
    """Faults that meet a share of all connections and attempts, the same ones for the same seed."""

    faults: tuple[Fault, ...] = ()
    share: float = 0.0
    seed: int = 0

    def strike(self, whom: str, attempt: int) -> Fault | None:
        """Choose what happens to an attempt to reach a recipient, whatever came before it."""
        mails = [fault for fault in self.faults if fault.stage is not Stage.CONNECT]
        return self._choose(mails, f"{whom} {attempt}")

    def strike_connection(self, number: int) -> Fault | None:
        """Choose what happens to a new connection."""
        greetings = [fault for fault in self.faults if fault.stage is Stage.CONNECT]
        return self._choose(greetings, f"connection {number}")

    def _choose(self, faults: list[Fault], occasion: str) -> Fault | None:
        chance = random.Random(f"{self.seed} {occasion}")
        return chance.choice(faults) if faults and chance.random() < self.share else None
