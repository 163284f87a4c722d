"""When a program that died is started again.

A program that has once started well always is, like a container with `restart: unless-stopped`.
"""

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
SETTLED_SECONDS = 10.0  # a program that lives for so long has started well
HOPELESS_DEATHS = 3
EX_CONFIG = 78  # sysexits.h: something is wrong with the settings


class Restarts:
    """The lives of one program, and the pause before it is started again.

    The pauses grow while it keeps dying early, and begin anew after it has lived for a while.
    """

    def __init__(self) -> None:
        self._settled = False
        self._early_deaths = 0

    def note_life(self, seconds: float) -> None:
        """Note how long the program has lived by now."""
        if seconds >= SETTLED_SECONDS:
            self._settled = True
            self._early_deaths = 0

    def note_death(self, seconds: float, status: int | None = None) -> float | None:
        """Return the pause in seconds after a life of `seconds` that ended with `status`.

        None if another start is useless: the program has never started well, and ended because of
        a wrong setting or several times.
        """
        self.note_life(seconds)
        self._early_deaths += 1
        if not self._settled and (status == EX_CONFIG or self._early_deaths >= HOPELESS_DEATHS):
            return None
        doublings = min(self._early_deaths - 1, 10)  # enough for the longest pause
        return float(min(FIRST_PAUSE * 2**doublings, LONGEST_PAUSE))
