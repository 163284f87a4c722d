"""The demo's output."""

import json
import sys
from collections.abc import Mapping

import httpx

BAR_WIDTH = 40


class Narration:
    """Prints each step with the time that it took."""

    def __init__(self) -> None:
        self._bar_quarter = 0

    def chapter(self, title: str) -> None:
        print(f"\n{title}", flush=True)

    def __call__(self, text: str, seconds: float) -> None:
        print(f"  {_duration(seconds):>8}  {text}", flush=True)

    def request(self, request: str, answer: httpx.Response, text: str) -> None:
        status = f"{answer.status_code} {answer.reason_phrase}"
        self(f"{request} → {status}: {text}", answer.elapsed.total_seconds())

    def item(self, text: str) -> None:
        print(f"{'':10}  {text}", flush=True)

    def document(self, content: object) -> None:
        for line in json.dumps(content, indent=2, ensure_ascii=False).splitlines():
            self.item(line)

    def bar(self, state: str, progress: Mapping[str, int] | None) -> None:
        """Draw progress: in place on a terminal, at each quarter elsewhere."""
        share = progress["done"] / progress["total"] if progress and progress["total"] else 0.0
        filled = round(share * BAR_WIDTH)
        line = f"{'':10}  {state:9} {'█' * filled}{'░' * (BAR_WIDTH - filled)} {share:4.0%}"
        if sys.stdout.isatty():
            print(f"\r{line}", end="", flush=True)
        elif int(share * 4) > self._bar_quarter:
            self._bar_quarter = int(share * 4)
            print(line, flush=True)

    def end_of_bar(self) -> None:
        self._bar_quarter = 0
        if sys.stdout.isatty():
            print("\r\033[K", end="", flush=True)


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
