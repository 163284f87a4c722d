"""Prints the steps of a command, with the time since its start."""

import time


class Progress:
    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    def __call__(self, text: str) -> None:
        """Print a step that begins or is done."""
        first, *more = text.splitlines()
        print(f"{self.seconds:6.1f} s  {first}", flush=True)
        for line in more:
            print(f"{'':8}  {line}", flush=True)
