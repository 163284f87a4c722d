"""Keeps MAIL_RATE and MAIL_RATE_DOMAIN: when a mail may be sent, or else when to ask again."""

import threading
import time
from bisect import bisect_right, insort
from collections.abc import Callable
from dataclasses import dataclass

from contracts.errors import PostponedError
from runtime.rates import Rate

PATIENCE = 1.0  # seconds for which a thread waits: a longer wait would keep it from other mails
MOST_DOMAINS = 10_000  # when so many are known, those without a mail of late are forgotten


@dataclass(frozen=True)
class Rates:
    """How many mails one mailer may send; None is no limit."""

    all: Rate | None = None
    domain: Rate | None = None


class Throttle:
    """Gives each mail a time, so that no limit is exceeded in any span of its length."""

    def __init__(
        self,
        rates: Rates,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Begin with no mail sent. ``clock`` and ``sleep`` are in seconds."""
        self._rates = rates
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._all = _Limit("MAIL_RATE", rates.all) if rates.all else None
        self._domains: dict[str, _Limit] = {}

    def wait(self, domain: str) -> None:
        """Wait until a mail to ``domain`` may be sent.

        Raises PostponedError if that takes longer than PATIENCE. Each error has a later time than
        the one before, so that postponed mails do not all come back at once.
        """
        with self._lock:
            now = self._clock()
            limits = self._limits(domain, now)
            at = max([now, *(limit.free_at() for limit in limits)])
            if at - now > PATIENCE:
                full = [limit for limit in limits if limit.free_at() - now > PATIENCE]
                again = max(limit.promise(now) for limit in full)
                names = " and ".join(limit.name for limit in full)
                raise PostponedError(f"sent later, to keep {names}", again - now)
            for limit in limits:
                limit.take(at, now)
        if at > now:
            self._sleep(at - now)

    def _limits(self, domain: str, now: float) -> list["_Limit"]:
        limits = [self._all] if self._all else []
        if self._rates.domain:
            if domain not in self._domains and len(self._domains) >= MOST_DOMAINS:
                self._domains = {
                    name: limit for name, limit in self._domains.items() if limit.last_until() > now
                }
            new = _Limit("MAIL_RATE_DOMAIN", self._rates.domain)
            limits.append(self._domains.setdefault(domain, new))
        return limits


class _Limit:
    """The times of the latest mails under one limit, of which some are just ahead."""

    def __init__(self, name: str, rate: Rate) -> None:
        self.name = name
        self._rate = rate
        self._taken: list[float] = []  # in order, and no more than the limit
        self._promised_until = float("-inf")

    def free_at(self) -> float:
        """Return from when on one more mail keeps the limit, whatever was sent since."""
        if len(self._taken) < self._rate.limit:
            return float("-inf")
        return self._taken[0] + self._rate.seconds

    def take(self, at: float, now: float) -> None:
        """Note a mail that is sent at a time, which may be just ahead."""
        insort(self._taken, at)
        past = bisect_right(self._taken, now - self._rate.seconds)
        del self._taken[: max(past, len(self._taken) - self._rate.limit)]

    def promise(self, now: float) -> float:
        """Return the time for a postponed mail: after those that were promised before."""
        at = max(self.free_at(), self._promised_until, now)
        self._promised_until = at + self._rate.seconds / self._rate.limit
        return at

    def last_until(self) -> float:
        """Return until when the latest mail counts, or the latest promise."""
        latest = self._taken[-1] + self._rate.seconds if self._taken else float("-inf")
        return max(latest, self._promised_until)
