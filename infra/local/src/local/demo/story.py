"""`make demo`: registration, jobs and mails, by real HTTP requests from outside, and timed."""

import json
import re
import secrets
import time
from collections.abc import Callable
from email.message import EmailMessage
from typing import TypeVar

from local.demo.api import Api
from local.demo.narration import Narration
from local.errors import LocalError
from local.progress import Progress
from local.run.up import Run, is_ready, running
from local.settings import Settings
from local.smtp import read_mails, text

Found = TypeVar("Found")

PATIENCE = 60.0  # seconds for anything that happens in the background
PRIMES_LIMIT = 2_000_000_000


def show(settings: Settings, progress: Progress) -> None:
    """Start everything, tell the story, stop everything. Raises LocalError if a step fails."""
    with running(settings, progress, terminal=None) as run:
        progress(f"the processes log to {settings.logs}")
        _wait_for("the API", run, lambda: is_ready(settings) or None)
        progress(f"Warren is up at {settings.web_url}\n")
        with Api(settings.web_url) as api:
            Story(settings, api, run).tell()
    progress("everything is stopped; `make up` starts it to stay")


class Story:
    """One new user's way through Warren."""

    def __init__(self, settings: Settings, api: Api, run: Run) -> None:
        self._settings = settings
        self._api = api
        self._run = run
        self._say = Narration()
        self._email = f"ada.{secrets.token_hex(3)}@example.org"
        self._password = secrets.token_urlsafe(18)

    def tell(self) -> None:
        self._say.chapter("A user registers; the mail is sent in the background")
        self._register()
        self._verify()
        self._sign_in()
        self._say.chapter("A computation runs in the background")
        self._list_computations()
        self._compute("add", {"x": 4, "y": 6})
        self._count_primes()
        self._compute("describe", {"values": [2, 3, 5, 7, 11, 13]})
        self._say.chapter("What cannot be is refused, and says why")
        self._submit_nonsense()
        self._say.chapter("What was done")
        self._list_jobs()
        self._list_mails()

    def _register(self) -> None:
        account = {"email": self._email, "password": self._password}
        answer = self._api.post("users", account)
        self._say.request("POST /api/v1/users", answer, f"for {self._email}")

    def _verify(self) -> None:
        start = time.monotonic()
        mail = self._wait_for_mail(1)
        self._say(f"the mail “{mail['subject']}” arrived", time.monotonic() - start)
        key = re.search(r"^Your key: (\S+)", text(mail), re.MULTILINE)
        if key is None:
            raise LocalError(f"There is no key in the mail “{mail['subject']}”.")
        answer = self._api.post("users/verify", {"key": key[1]})
        self._say.request("POST /api/v1/users/verify", answer, "with the key from the mail")
        start = time.monotonic()
        mail = self._wait_for_mail(2)
        self._say(f"the mail “{mail['subject']}” arrived", time.monotonic() - start)

    def _sign_in(self) -> None:
        credentials = {"email": self._email, "password": self._password}
        answer = self._api.post("auth/token", credentials)
        self._api.use_token(answer.json()["access"])
        self._say.request("POST /api/v1/auth/token", answer, "an access token and a refresh token")

    def _list_computations(self) -> None:
        def announced() -> list[str] | None:
            found = self._api.get("computations").json()["results"]
            return [computation["name"] for computation in found] or None

        names = _wait_for("the compute workers' announcement", self._run, announced)
        answer = self._api.get("computations")
        self._say.request("GET /api/v1/computations", answer, ", ".join(names))

    def _compute(self, computation: str, arguments: dict[str, object]) -> None:
        start = time.monotonic()
        answer = self._api.post("jobs", {"computation": computation, "arguments": arguments})
        self._say.request("POST /api/v1/jobs", answer, f"{computation} {json.dumps(arguments)}")
        job = self._api.get(f"jobs/{answer.json()['id']}?wait=30").json()
        _require_success(job)
        self._say(
            f"result: {json.dumps(job['result'])}, by {job['worker']}", time.monotonic() - start
        )

    def _count_primes(self) -> None:
        start = time.monotonic()
        arguments = {"limit": PRIMES_LIMIT}
        answer = self._api.post("jobs", {"computation": "count_primes", "arguments": arguments})
        self._say.request("POST /api/v1/jobs", answer, f"count_primes {json.dumps(arguments)}")
        while True:
            job = self._api.get(f"jobs/{answer.json()['id']}?wait=0.3").json()
            if job["state"] not in ("queued", "running"):
                break
            self._say.bar(job["state"], job["progress"])
            self._run.tick()
        self._say.end_of_bar()
        _require_success(job)
        self._say(
            f"result: {json.dumps(job['result'])}, by {job['worker']}", time.monotonic() - start
        )

    def _submit_nonsense(self) -> None:
        arguments = {"x": 4, "y": "six"}
        answer = self._api.attempt("jobs", {"computation": "add", "arguments": arguments})
        self._say.request("POST /api/v1/jobs", answer, f"add {json.dumps(arguments)}")
        self._say.document(answer.json())

    def _list_jobs(self) -> None:
        answer = self._api.get("jobs")
        jobs = answer.json()["results"]
        self._say.request("GET /api/v1/jobs", answer, f"{len(jobs)} jobs")
        for job in reversed(jobs):
            self._say.item(f"{job['computation']:14} {job['state']:10} attempts {job['attempts']}")

    def _list_mails(self) -> None:
        def all_sent() -> list[dict[str, str]] | None:
            mails: list[dict[str, str]] = self._api.get("mails").json()["results"]
            return mails if all(mail["state"] == "sent" for mail in mails) else None

        mails = _wait_for("the mailer's results", self._run, all_sent)
        answer = self._api.get("mails")
        self._say.request("GET /api/v1/mails", answer, f"{len(mails)} mails")
        for mail in reversed(mails):
            self._say.item(f"{mail['template']:14} {mail['state']:10} {mail['answer']}")
        self._say.item(f"kept in {self._settings.mails}/new")

    def _wait_for_mail(self, number: int) -> EmailMessage:
        """Wait for the user's mail with this number, from 1, and return it."""

        def arrived() -> EmailMessage | None:
            caught = read_mails(self._settings.mails)
            mails = [mail for mail in caught if self._email in str(mail["to"])]
            return mails[number - 1] if len(mails) >= number else None

        return _wait_for(f"mail {number} to {self._email}", self._run, arrived)


def _wait_for(what: str, run: Run, find: Callable[[], Found | None]) -> Found:
    """Call `find` until it finds something. Raises LocalError when the time is up.

    Meanwhile the processes are looked after. One that cannot be started ends the wait.
    """
    deadline = time.monotonic() + PATIENCE
    while (found := find()) is None:
        if time.monotonic() > deadline:
            raise LocalError(f"Waited {PATIENCE:.0f} s for {what} in vain; see `make logs`.")
        if not run.tick():
            raise KeyboardInterrupt
    return found


def _require_success(job: dict[str, object]) -> None:
    if job["state"] != "succeeded":
        raise LocalError(f"The job is {job['state']}: {job['error']}")
