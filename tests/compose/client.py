"""A user of Warren, who sees nothing but its API and the mails that arrive."""

import re
import secrets
import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx

from .composition import Composition

Found = TypeVar("Found")

PATIENCE = 90.0  # seconds for anything that happens in the background


class User:
    """Registers, verifies and signs in; then submits computations."""

    def __init__(self, composition: Composition) -> None:
        loopback = "http://127.0.0.1:"
        self._mails = f"{loopback}{composition.ports['MAILPIT_PORT']}/api/v1"
        self._http = httpx.Client(
            base_url=f"{loopback}{composition.ports['WEB_PORT']}/api/v1/",
            timeout=70,  # longer than the longest ?wait=
            trust_env=False,
        )
        self.account = {
            "email": f"ada.{secrets.token_hex(4)}@example.org",
            "password": secrets.token_urlsafe(18),
        }

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str) -> Any:
        """Ask for a document."""
        return _content(self._http.get(path))

    def post(self, path: str, body: object) -> Any:
        """Send a document."""
        return _content(self._http.post(path, json=body))

    def sign_up(self) -> None:
        """Register, confirm the address with the key from the mail, and sign in."""
        self.post("users", self.account)
        mail = wait_for("the verification mail", lambda: self.mail("confirm|verify"))
        key = re.search(r"^Your key: (\S+)", mail["Text"], re.MULTILINE)
        assert key, mail["Subject"]
        self.post("users/verify", {"key": key[1]})
        token = self.post("auth/token", self.account)["access"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def mail(self, subject: str) -> dict[str, Any] | None:
        """The mail to this user whose subject matches, if it has arrived."""
        query = {"query": f"to:{self.account['email']}"}
        caught = httpx.get(f"{self._mails}/search", params=query, trust_env=False).json()
        for found in caught["messages"]:
            if re.search(subject, found["Subject"], re.IGNORECASE):
                message = httpx.get(f"{self._mails}/message/{found['ID']}", trust_env=False)
                content: dict[str, Any] = message.json()
                return content
        return None

    def submit(self, computation: str, **arguments: object) -> str:
        """Ask for a computation; the answer is the job's id."""
        job = self.post("jobs", {"computation": computation, "arguments": arguments})
        return str(job["id"])

    def result(self, job_id: str) -> dict[str, Any]:
        """Wait for the end of a job."""

        def final() -> dict[str, Any] | None:
            job: dict[str, Any] = self.get(f"jobs/{job_id}?wait=10")
            return None if job["state"] in ("queued", "running") else job

        return wait_for(f"job {job_id}", final)


def wait_for(what: str, find: Callable[[], Found | None]) -> Found:
    """Look again and again until there is something."""
    deadline = time.monotonic() + PATIENCE
    while (found := find()) is None:
        assert time.monotonic() < deadline, f"waited {PATIENCE} s for {what} in vain"
        time.sleep(0.2)
    return found


def _content(answer: httpx.Response) -> Any:
    assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.text}"
    return answer.json() if answer.content else None
