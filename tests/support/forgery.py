"""Messages that nobody should send, made from a seed so that a failure can be repeated."""

import json
import random
import string
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

HUGE = 5 * 2**20  # bytes
DEEP = 100_000  # levels
BOMB = 1024  # MiB, once it is unpacked
NAMES = ("eta", "expires", "timelimit", "retries", "id", "root_id", "parent_id", "task", "shadow")
MORE_NAMES = ("stamped_headers", "stamps", "group", "groups", "ignore_result", "argsrepr", "lang")
COUNTERS = ("x-delivery-count", "replaced_task_nesting", "group_index", "request_id", "compression")
ENCODINGS = ("utf-8", "binary", "base64", "gzip", "zip", "rot13", "idna", "no such encoding", "")
TYPES = ("application/json", "application/data", "text/plain", "application/x-yaml", "no/such", "")


@dataclass(frozen=True)
class Forgery:
    """One message; ``marker`` is its correlation id, by which it is found again."""

    marker: str
    body: bytes
    headers: dict[str, Any]
    properties: dict[str, Any] = field(default_factory=dict)


class Forger:
    """Makes messages that look like a task's, each with something wrong."""

    def __init__(self, seed: int, task: str, payload: dict[str, Any]) -> None:
        """Begin; ``task`` and ``payload`` are what a right message would have."""
        self._random = random.Random(seed)
        self._task = task
        self._payload = payload

    def forge(self, count: int) -> Iterator[Forgery]:
        """Make so many messages; among the first are a huge and a deep one, and a bomb."""
        ways = (self._noise, self._any_json, self._wrong_payload, self._wrong_headers)
        yield from (self._huge(), self._deep(), self._bomb(), self._later())
        for _ in range(count - 4):
            yield self._random.choice((*ways, self._wrong_encoding, self._options))()

    def value(self, depth: int = 2) -> Any:
        """Make any JSON value."""
        draw = self._random
        kinds = ("null", "bool", "int", "float", "text", "list", "object")
        kind = draw.choice(kinds if depth else kinds[:5])
        if kind == "list":
            return [self.value(depth - 1) for _ in range(draw.randrange(4))]
        if kind == "object":
            return {self._text(): self.value(depth - 1) for _ in range(draw.randrange(4))}
        return {
            "null": None,
            "bool": draw.random() < 0.5,
            "int": draw.choice((0, 1, -1, 2**31, -(2**62), draw.randrange(10**6))),
            "float": draw.choice((0.5, -1.5, 1e300)),
            "text": self._text(),
        }[kind]

    def _text(self) -> str:
        letters = string.printable + "\u00e9\u6f22\U0001f600"
        return "".join(self._random.choices(letters, k=self._random.randrange(30)))

    def _headers(self, **changes: Any) -> dict[str, Any]:
        marker = self._marker()
        return {"lang": "py", "task": self._task, "id": marker, "root_id": marker} | changes

    def _marker(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128)))

    def _body(self, args: Any = (), payload: Any = None, options: Any = None) -> bytes:
        kwargs = self._payload if payload is None else payload
        return json.dumps([args, kwargs, {} if options is None else options]).encode()

    def _forgery(
        self, body: bytes, headers: dict[str, Any] | None = None, **properties: Any
    ) -> Forgery:
        given = self._headers() if headers is None else headers
        return Forgery(self._marker(), body, given, properties)

    def _noise(self) -> Forgery:
        body = self._random.randbytes(self._random.randrange(200))
        return self._forgery(body, self._random.choice((None, {})))

    def _any_json(self) -> Forgery:
        body = json.dumps(self.value(4)).encode()
        return self._forgery(body, self._random.choice((None, {})))

    def _wrong_payload(self) -> Forgery:
        wrong = self._random.choice((self.value(), self._payload | {self._some_field(): [{}]}))
        return self._forgery(self._body((), wrong if wrong is not None else 0))

    def _some_field(self) -> str:
        return self._random.choice(sorted(self._payload))

    def _wrong_headers(self) -> Forgery:
        headers = {n: self.value() for n in (*NAMES, *MORE_NAMES, *COUNTERS) if self._often()}
        wrong = {"timelimit": ["planted", []], "retries": "planted"}  # so that it never is right
        return self._forgery(self._body(), self._headers(**headers | wrong))

    def _often(self) -> bool:
        return self._random.random() < 0.3

    def _wrong_encoding(self) -> Forgery:
        body = self._random.choice((b"\xff\xfe\x00", self._body()[:-1], self._body()[1:]))
        kind, encoding = self._random.choice(TYPES), self._random.choice(ENCODINGS)
        return self._forgery(body, content_type=kind, content_encoding=encoding)

    def _options(self) -> Forgery:
        names = ("callbacks", "errbacks", "chain", "chord")
        options = {self._random.choice(names): self.value() or "planted", "chord": "planted"}
        return self._forgery(self._body((), None, options), reply_to=self._text())

    def _huge(self) -> Forgery:
        return self._forgery(b'"' + b"x" * HUGE + b'"')

    def _deep(self) -> Forgery:
        return self._forgery(b"[" * DEEP + b"]" * DEEP)

    def _bomb(self) -> Forgery:
        headers = self._headers(compression="application/x-gzip")
        press = zlib.compressobj()  # piece by piece: who makes a bomb need not bear it
        pieces = (press.compress(b" " * 2**20) for _ in range(BOMB))
        body = b"".join((press.compress(b"["), *pieces, press.compress(b"]"), press.flush()))
        return self._forgery(body, headers)

    def _later(self) -> Forgery:
        return self._forgery(self._body(), self._headers(eta="2099-01-01T00:00:00+00:00"))
