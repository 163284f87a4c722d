"""What became of all that was promised."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from tests.support.stack import Stack

from . import audit
from .load import Account, Asked

FINAL = ("succeeded", "failed", "cancelled")
ENDED = ("sent", "failed")
PERCENTILE = 0.99
REFUSAL = "not wanted here"  # what the suite's mail server says when a mail is to fail
RECOVERY = 30.0  # seconds after a fault's end within which all has to be done


@dataclass(frozen=True)
class Trial:
    """A fault that has been, with its times by the machine's clock."""

    fault: str
    begin: float
    end: float
    may_refuse: bool


@dataclass(frozen=True)
class Verdict:
    """One line of the table; times are seconds.

    ``uncertain`` counts mails that went out twice in the one way that is known and marked: a
    mailer died, or its server fell silent, between the end of the mail and the note of it.
    ``recovery`` is the time from the fault's end until all was done that was accepted before it.
    ``exits`` counts processes that ended without having been ended. ``may_refuse`` is set if the
    fault makes answers with 503 right. ``before`` and ``during`` are how long requests took, each.
    """

    fault: str
    seconds: float
    accepted: int
    final: int
    wrong: int
    final_twice: int
    registered: int
    mails_missing: int
    mails_twice: int
    uncertain: int
    answers_5xx: int
    answers_503: int
    unanswered: int
    before: tuple[float, ...]
    during: tuple[float, ...]
    recovery: float
    exits: int
    may_refuse: bool
    problems: tuple[str, ...]

    @property
    def lost(self) -> int:
        """Jobs that were accepted and never came to an end."""
        return self.accepted - self.final

    @property
    def kept(self) -> bool:
        """Whether every promise was kept, however late."""
        broken = (self.lost, self.wrong, self.final_twice, self.mails_missing, self.mails_twice)
        refused = self.answers_5xx or (self.answers_503 and not self.may_refuse)
        return not any(broken) and not refused and not self.problems

    @property
    def holds(self) -> bool:
        """Whether every promise was kept, and in time."""
        return self.kept and self.recovery <= RECOVERY

    def as_dict(self) -> dict[str, Any]:
        """For the file, with the 99th percentiles in milliseconds."""
        found = asdict(self) | {"lost": self.lost, "holds": self.holds}
        for name in ("before", "during"):
            found[f"p99_{name}"] = p99(found.pop(name))
        return found


class Outcome:
    """Looks up what became of the jobs and mails of an account."""

    def __init__(self, account: Account, stack: Stack) -> None:
        """Look up nothing yet."""
        self._account = account
        self._stack = stack
        self._promises = {promise.id: promise for promise in account.jobs}
        self._registered = dict(account.registered)

    @cached_property
    def jobs(self) -> dict[str, dict[str, Any]]:
        """The jobs that were promised, by id."""
        return audit.jobs(self._stack, list(self._promises))

    @cached_property
    def mails(self) -> list[dict[str, Any]]:
        """The mails to those who registered."""
        return audit.mails(self._stack, list(self._registered))

    @cached_property
    def endings(self) -> dict[str, list[tuple[str, float]]]:
        """How each of them ended."""
        ids = [*self.jobs, *(str(mail["id"]) for mail in self.mails)]
        return audit.endings(self._stack, ids)

    @property
    def pending(self) -> int:
        """How many jobs and mails are still on their way, or gone."""
        jobs = len(self._promises) - self.final
        return jobs + self.missing + sum(mail["state"] not in ENDED for mail in self.mails)

    @property
    def final(self) -> int:
        """Jobs that have ended."""
        return sum(job["state"] in FINAL for job in self.jobs.values())

    @property
    def wrong(self) -> list[str]:
        """Jobs that ended otherwise than they had to."""
        return [
            f"{promise.kind} job {job_id} {found['state']} with "
            f"{found['error_message'] or found['result']!r}"
            for job_id, promise in self._promises.items()
            if (found := self.jobs.get(job_id)) and found["state"] in FINAL
            if not _as_promised(found, promise.state, promise.result)
        ]

    @property
    def final_twice(self) -> list[str]:
        """Jobs that ended more than once."""
        return [
            f"job {job_id} ended as {', '.join(ending for ending, _ in self.endings[job_id])}"
            for job_id in self.jobs
            if len(self.endings.get(job_id, ())) > 1
        ]

    @property
    def missing(self) -> int:
        """Registrations without a mail that arrived, or that was refused as was asked for."""
        have = {mail["recipient"] for mail in self.mails if self._arrived(mail)}
        return len(self._registered.keys() - have)

    @property
    def twice(self) -> tuple[int, int]:
        """Mails that the server took more than once: unexplained, and marked as uncertain."""
        double = [mail for mail in self.mails if self._taken[str(mail["id"])] > 1]
        marked = sum(bool(mail["uncertain"]) for mail in double)
        return len(double) - marked, marked

    @cached_property
    def _taken(self) -> Counter[str]:
        """How often the mail server took each mail, by the mail's id."""
        taken = dict(self._stack.smtp.taken)
        return Counter({key.partition("@")[0].lstrip("<"): n for key, n in taken.items()})

    def _arrived(self, mail: dict[str, Any]) -> bool:
        """Whether the mail server has it, and not just Warren's word for that."""
        if mail["state"] == "sent":
            return self._taken[str(mail["id"])] > 0
        return mail["state"] == "failed" and REFUSAL in mail["answer"]

    def last_ending(self, before: float) -> float:
        """When all was done that had been accepted before a time; 0 if nothing was."""
        accepted = {promise.id for promise in self._account.jobs if promise.at < before}
        accepted |= {
            str(mail["id"]) for mail in self.mails if self._registered[mail["recipient"]] < before
        }
        ended = (self.endings[one][-1][1] for one in accepted if self.endings.get(one))
        return max(ended, default=0.0)


def judge(
    trial: Trial, account: Account, outcome: Outcome, *, exits: int, problems: Sequence[str]
) -> Verdict:
    """Count, when all is quiet."""
    statuses = Counter(asked.status for asked in account.asked)
    twice, uncertain = outcome.twice
    wrong, final_twice = outcome.wrong, outcome.final_twice
    return Verdict(
        fault=trial.fault,
        seconds=trial.end - trial.begin,
        accepted=len(account.jobs),
        final=outcome.final,
        wrong=len(wrong),
        final_twice=len(final_twice),
        registered=len(account.registered),
        mails_missing=outcome.missing,
        mails_twice=twice,
        uncertain=uncertain,
        answers_5xx=sum(count for code, count in statuses.items() if code >= 500 and code != 503),
        answers_503=statuses[503],
        unanswered=statuses[0],
        before=_times(account.asked, 0, trial.begin),
        during=_times(account.asked, trial.begin, trial.end),
        recovery=max(0.0, outcome.last_ending(trial.end) - trial.end),
        exits=exits,
        may_refuse=trial.may_refuse,
        problems=(*problems, *wrong[:5], *final_twice[:5], *account.broken[:5]),
    )


def p99(times: Sequence[float]) -> float:
    """The 99th percentile of some times in seconds, in milliseconds; 0 if there are none."""
    return sorted(times)[int(len(times) * PERCENTILE)] * 1000 if times else 0.0


def _times(asked: Sequence[Asked], begin: float, end: float) -> tuple[float, ...]:
    """How long the requests of a time took that were answered."""
    return tuple(
        one.seconds
        for one in asked
        if one.status and one.what != "sign in" and begin <= one.at < end
    )


def _as_promised(found: dict[str, Any], state: str, result: Any) -> bool:
    told = found["error_message"] if state == "failed" else found["result"]
    return bool(found["state"] == state and told == result)
