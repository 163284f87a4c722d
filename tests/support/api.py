"""Warren's API as a client sees it, by real HTTP."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx

from .polling import poll
from .smtp_server import SmtpServer

FINAL = {"succeeded", "failed", "cancelled"}
TIMEOUT = 15.0  # seconds; web answers at once, whatever the broker is doing


def connect(web_url: str) -> httpx.Client:
    """Make a client without a token."""
    return httpx.Client(base_url=f"{web_url}/api/v1/", timeout=TIMEOUT, trust_env=False)


def text_of(mail: EmailMessage, subtype: str = "plain") -> str:
    """Return one of a mail's two bodies, decoded."""
    body = mail.get_body((subtype,))
    assert body is not None, f"the mail has no {subtype} body"
    return str(body.get_content())


def key_in(mail: EmailMessage) -> str:
    """Find the verification key in a mail."""
    lines = text_of(mail).splitlines()
    return next(line.partition(": ")[2] for line in lines if line.startswith("Your key: "))


def new_address() -> str:
    """Make an address that nobody has."""
    return f"{secrets.token_hex(6)}@example.org"


@dataclass
class Account:
    """A user, who may not have signed in yet."""

    http: httpx.Client
    email: str
    password: str

    @classmethod
    def register(cls, http: httpx.Client) -> "Account":
        """Ask for an account; a mail is then on its way."""
        account = cls(http, new_address(), secrets.token_urlsafe(16))
        account.post("users", {"email": account.email, "password": account.password}, expect=202)
        return account

    def verify(self, smtp: SmtpServer) -> None:
        """Wait for the mail and send its key."""
        mails = poll(lambda: smtp.mails_to(self.email), what=f"mail to {self.email}")
        self.post("users/verify", {"key": key_in(mails[0])})

    def sign_in(self) -> None:
        """Get a token and use it from now on."""
        answer = self.post("auth/token", {"email": self.email, "password": self.password})
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access']}"

    def get(self, path: str, expect: int = 200, **options: Any) -> Any:
        """Get what is at an address, decoded."""
        return _checked(self.http.get(path, **options), expect).json()

    def post(
        self, path: str, body: object = None, expect: int = 200, **options: Any
    ) -> httpx.Response:
        """Post something."""
        return _checked(self.http.post(path, json=body, **options), expect)

    def move_in(self, smtp: SmtpServer) -> None:
        """Verify and sign in."""
        self.verify(smtp)
        self.sign_in()

    def submit(self, computation: str, **arguments: Any) -> str:
        """Submit a job and return its id."""
        body = {"computation": computation, "arguments": arguments}
        return str(self.post("jobs", body, expect=202).json()["id"])

    def submit_many(self, jobs: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
        """Submit jobs, given by computation and arguments, in one request; their ids."""
        entries = [{"computation": name, "arguments": arguments} for name, arguments in jobs]
        answer = self.post("jobs/batch", {"jobs": entries}, expect=202).json()
        return [str(entry["id"]) for entry in answer["jobs"]]

    def job(self, job_id: str, wait: int = 0) -> dict[str, Any]:
        """Show a job."""
        job: dict[str, Any] = self.get(
            f"jobs/{job_id}", params={"wait": wait}, timeout=wait + TIMEOUT
        )
        return job

    def mail(self, template: str = "verify_email") -> dict[str, Any]:
        """Show the newest mail of a kind, with the history of its attempts."""
        mails = self.get("mails")["results"]
        found = next(mail for mail in mails if mail["template"] == template)
        shown: dict[str, Any] = self.get(f"mails/{found['id']}")
        return shown


@dataclass(frozen=True)
class Gate:
    """A folder by which a test decides about a run of a staged computation."""

    folder: Path

    @property
    def arguments(self) -> dict[str, str]:
        """What the computation is to be told."""
        return {"gate": str(self.folder)}

    @property
    def runs(self) -> int:
        """How often it has been started."""
        started = self.folder / "started"
        return len(started.read_text().splitlines()) if started.exists() else 0

    def await_runs(self, count: int = 1) -> None:
        """Wait until it has been started so often."""
        poll(lambda: self.runs, lambda runs: runs >= count, what=f"run number {count}")

    def release(self) -> None:
        """Let it end."""
        (self.folder / "release").touch()

    def mend(self) -> None:
        """Let it no longer crash."""
        (self.folder / "mended").touch()


def _checked(answer: httpx.Response, expect: int) -> httpx.Response:
    asked = f"{answer.request.method} {answer.request.url.path}"
    assert answer.status_code == expect, f"{asked}: {answer.status_code} {answer.text[:1000]}"
    return answer
