"""How often something may be done."""

import re
from dataclasses import dataclass

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
NOTATION = re.compile(r"([1-9]\d{0,8})/([1-9]\d{0,4})?([smhd])")
EXAMPLE = "30/5m"


@dataclass(frozen=True)
class Rate:
    """At most ``limit`` times within ``seconds``."""

    limit: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> "Rate":
        """Read a rate such as ``30/5m``, ``10/s`` or ``1/d``. Raises ValueError."""
        match = NOTATION.fullmatch(text)
        if match is None:
            raise ValueError("it must be a number, a slash and a time in s, m, h or d")
        limit, count, unit = match.groups()
        return cls(int(limit), int(count or 1) * UNITS[unit])

    def __str__(self) -> str:
        """Write the rate in the form that ``parse`` reads."""
        unit = max((u for u in UNITS if self.seconds % UNITS[u] == 0), key=UNITS.__getitem__)
        return f"{self.limit}/{self.seconds // UNITS[unit]}{unit}"
