"""When what has died is started again: as the containers' `restart: unless-stopped` does."""

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
SETTLED_SECONDS = 10.0  # what lives for so long has started well
HOPELESS_DEATHS = 3
EX_CONFIG = 78  # sysexits.h: something is wrong with the settings


class Restarts:
    """How one program has fared, and for how long to wait before it is started again.

    The pauses grow as long as it dies soon, and begin anew after it has lived for a while.
    """

    def __init__(self) -> None:
        self._settled = False
        self._early_deaths = 0

    def note_life(self, seconds: float) -> None:
        """Take note of how long it has lived by now."""
        if seconds >= SETTLED_SECONDS:
            self._settled = True
            self._early_deaths = 0

    def note_death(self, seconds: float, status: int | None = None) -> float | None:
        """The pause, in seconds, after it has lived for `seconds` and ended with `status`.

        None if it is of no use to try again: it has never lived for long, and has ended for a
        wrong setting, or again and again.
        """
        self.note_life(seconds)
        self._early_deaths += 1
        if not self._settled and (status == EX_CONFIG or self._early_deaths >= HOPELESS_DEATHS):
            return None
        doublings = min(self._early_deaths - 1, 10)  # far beyond the longest pause
        return float(min(FIRST_PAUSE * 2**doublings, LONGEST_PAUSE))
