"""Clients that use Warren at a steady rate and keep account of all that was promised to them."""

import random
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

PATIENCE = 300.0  # seconds for which a client repeats a request that was not answered
PAUSE = 0.5  # seconds between two tries
TIMEOUT = 20.0  # seconds that a client waits for an answer
MANY = 12  # jobs in a request
NAP = 20.0  # seconds that a job takes which is to be cancelled
LATER = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)
PASSWORD = secrets.token_urlsafe(16)


@dataclass(frozen=True)
class Credentials:
    """A user who may sign in."""

    email: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Asked:
    """One request as its client saw it; ``status`` 0 means no answer, times are seconds."""

    what: str
    at: float
    seconds: float
    status: int


@dataclass(frozen=True)
class Promise:
    """An accepted job and what has to become of it."""

    id: str
    kind: str
    state: str
    result: Any
    at: float


@dataclass
class Account:
    """All that was asked and promised, since it was opened."""

    asked: list[Asked] = field(default_factory=list)
    jobs: list[Promise] = field(default_factory=list)
    registered: list[tuple[str, float]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


class Load:
    """A number of clients, each with a thread and a user of its own."""

    def __init__(
        self, web_url: str, users: Sequence[Credentials], folder: Path, rate: float
    ) -> None:
        """Make clients that do not work yet.

        Args:
            web_url: where web answers.
            users: of each client one.
            folder: where staged computations keep what they have to remember.
            rate: requests to submit or register, of each client in a second.
        """
        self.account = Account()
        self.stopping = threading.Event()
        clients = [_Client(self, web_url, user, folder, rate) for user in users]
        self._threads = [threading.Thread(target=client.work, daemon=True) for client in clients]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Begin nothing new; ``ended`` says when every request that was begun is answered."""
        self.stopping.set()

    @property
    def ended(self) -> bool:
        """Whether every client has heard an answer to its last request."""
        return not any(thread.is_alive() for thread in self._threads)


class _Client:
    """One user, who does one thing after the other."""

    def __init__(
        self, load: Load, web_url: str, user: Credentials, folder: Path, rate: float
    ) -> None:
        self._load = load
        self._user = user
        self._folder = folder
        self._pause = 1 / rate
        self._random = random.Random(user.email)
        self._http = httpx.Client(base_url=f"{web_url}/api/v1/", timeout=TIMEOUT, trust_env=False)
        acts = {
            self._plain: 7,
            self._together: 2,
            self._summed: 5,
            self._long: 1,
            self._failing: 1,
            self._stumbling: 1,
            self._cancelled: 1,
            self._register: 3,
        }
        self._acts = [act for act, weight in acts.items() for _ in range(weight)]

    def work(self) -> None:
        """Use Warren until told to stop."""
        due = time.monotonic() + self._random.uniform(0, self._pause)
        while not self._load.stopping.wait(max(0.0, due - time.monotonic())):
            due = max(due, time.monotonic() - self._pause) + self._pause
            try:
                self._random.choice(self._acts)()
            except Exception as error:  # noqa: BLE001 -- whatever a client meets is part of the account
                self._load.account.broken.append(f"{type(error).__name__}: {error}")
        self._http.close()

    def _plain(self) -> None:
        x, y = self._random.randint(-1000, 1000), self._random.randint(-1000, 1000)
        self._submit("plain", "add", {"x": x, "y": y}, "succeeded", x + y)

    def _summed(self) -> None:
        """Have web's own tasks do it, sent in some way."""
        x, y = self._random.randint(-1000, 1000), self._random.randint(-1000, 1000)
        way = self._random.choice(["task", "retry", "chain", "chord"])
        answer = self._ask(
            "submit", "POST", f"sums/{way}", json={"x": x, "y": y}, expect=httpx.codes.ACCEPTED
        )
        self._promised(str(answer.json()["id"]), way, "succeeded", x + y)

    def _together(self) -> None:
        """Submit many at a time, as a bundle's worth of small jobs."""
        numbers = [self._random.randint(-1000, 1000) for _ in range(MANY)]
        jobs = [{"computation": "add", "arguments": {"x": x, "y": 1}} for x in numbers]
        answer = self._ask(
            "submit many",
            "POST",
            "jobs/batch",
            json={"jobs": jobs},
            headers={"Idempotency-Key": secrets.token_hex(8)},
            expect=httpx.codes.ACCEPTED,
        )
        for x, entry in zip(numbers, answer.json()["jobs"], strict=True):
            self._promised(entry["id"], "one of many", "succeeded", x + 1)

    def _long(self) -> None:
        seconds = self._random.choice([0.3, 0.6, 1.2])
        self._submit("long", "nap", {"seconds": seconds}, "succeeded", seconds)

    def _failing(self) -> None:
        reason = secrets.token_hex(4)
        self._submit("failing", "refuse", {"reason": reason}, "failed", reason)

    def _stumbling(self) -> None:
        gate = self._folder / secrets.token_hex(6)
        gate.mkdir()
        arguments = {"gate": str(gate), "times": 1}
        self._submit("stumbling", "stumble", arguments, "succeeded", "done")

    def _cancelled(self) -> None:
        job_id = self._ask_for_job("nap", {"seconds": NAP})
        self._load.stopping.wait(self._random.uniform(0, 1))
        answer = self._ask("cancel", "POST", f"jobs/{job_id}/cancel")
        if answer.status_code == httpx.codes.OK:
            self._promised(job_id, "cancelled", "cancelled", None)
        else:  # it was accepted all the same, and has ended before the request to cancel it came
            self._promised(job_id, "cancelled too late", "succeeded", NAP)

    def _register(self) -> None:
        address = f"{secrets.token_hex(8)}@example.org"
        body = {"email": address, "password": PASSWORD}
        self._ask("register", "POST", "users", json=body, expect=httpx.codes.ACCEPTED)
        self._load.account.registered.append((address, time.time()))

    def _submit(
        self, kind: str, computation: str, arguments: dict[str, Any], state: str, result: Any
    ) -> None:
        self._promised(self._ask_for_job(computation, arguments), kind, state, result)

    def _ask_for_job(self, computation: str, arguments: dict[str, Any]) -> str:
        answer = self._ask(
            "submit",
            "POST",
            "jobs",
            json={"computation": computation, "arguments": arguments},
            headers={"Idempotency-Key": secrets.token_hex(8)},
            expect=httpx.codes.ACCEPTED,
        )
        return str(answer.json()["id"])

    def _promised(self, job_id: str, kind: str, state: str, result: Any) -> None:
        self._load.account.jobs.append(Promise(job_id, kind, state, result, time.time()))

    def _ask(
        self, what: str, method: str, path: str, expect: int | None = None, **options: Any
    ) -> httpx.Response:
        """Repeat a request until it is answered, as a good client does."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            answer = self._try(what, method, path, **options)
            if answer is None or answer.status_code in LATER:
                time.sleep(PAUSE)
            elif answer.status_code == httpx.codes.UNAUTHORIZED:
                self._sign_in()
            elif expect in (None, answer.status_code):
                return answer
            else:
                raise AssertionError(f"{what}: {answer.status_code} {answer.text[:300]}")
        raise AssertionError(f"{what}: no answer in {PATIENCE:.0f} s")

    def _sign_in(self) -> None:
        body = {"email": self._user.email, "password": self._user.password}
        answer = self._try("sign in", "POST", "auth/token", json=body)
        if answer is not None and answer.status_code == httpx.codes.OK:
            self._http.headers["Authorization"] = f"Bearer {answer.json()['access']}"
        else:
            time.sleep(PAUSE)

    def _try(self, what: str, method: str, path: str, **options: Any) -> httpx.Response | None:
        at, began = time.time(), time.monotonic()
        answer = None
        try:
            answer = self._http.request(method, path, **options)
        except httpx.TransportError:
            return None
        finally:
            status = answer.status_code if answer is not None else 0
            self._load.account.asked.append(Asked(what, at, time.monotonic() - began, status))
        if status in LATER and "Retry-After" not in answer.headers:
            self._load.account.broken.append(f"{what}: {status} without Retry-After")
        return answer
