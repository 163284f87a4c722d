"""People who use Warren through its proxy, and see the mails that arrive."""

import json
import re
import secrets
from typing import Any

import httpx

from tests.support.admin import sign_in
from tests.support.polling import poll

from .composition import Composition

PATIENCE = 90.0  # seconds for anything that happens in the background
PASSWORD = "correct horse battery staple"
# In the mailer, which can reach the catcher. Some catchers do not know of MP_WEBROOT.
FETCH = """
import sys, urllib.error, urllib.request
for root in ("http://mailpit:8025/mails/api/v1", "http://mailpit:8025/api/v1"):
    try:
        print(urllib.request.urlopen(root + {path!r}, timeout=10).read().decode())
        break
    except urllib.error.HTTPError:
        pass
"""


class User:
    """Registers, verifies and signs in; then submits computations."""

    def __init__(self, composition: Composition) -> None:
        self._composition = composition
        self._http = httpx.Client(
            base_url=f"{composition.url}/api/v1/",
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
        mail = poll(
            lambda: self.mail("confirm|verify"), what="verification mail", deadline=PATIENCE
        )
        key = re.search(r"^Your key: (\S+)", mail["Text"], re.MULTILINE)
        assert key, mail["Subject"]
        self.post("users/verify", {"key": key[1]})
        self.sign_in()

    def sign_in(self) -> None:
        """Get a token, which holds for 15 minutes."""
        token = self.post("auth/token", self.account)["access"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def mail(self, subject: str) -> dict[str, Any] | None:
        """The mail to this user whose subject matches, if it has arrived."""
        caught = self._caught(f"/search?query=to:{self.account['email']}")
        for found in caught["messages"]:
            if re.search(subject, found["Subject"], re.IGNORECASE):
                return self._caught(f"/message/{found['ID']}")
        return None

    def _caught(self, path: str) -> dict[str, Any]:
        answer = self._composition.python_in("mailer", FETCH.format(path=path))
        content: dict[str, Any] = json.loads(answer)
        return content

    def submit(self, computation: str, **arguments: object) -> str:
        """Ask for a computation; the answer is the job's id."""
        job = self.post("jobs", {"computation": computation, "arguments": arguments})
        return str(job["id"])

    def await_running(self, job_id: str) -> None:
        """Wait until a worker has begun."""
        job = f"jobs/{job_id}"
        poll(lambda: self.get(job)["state"] == "running", what="job to run", deadline=PATIENCE)

    def result(self, job_id: str) -> dict[str, Any]:
        """Wait for the end of a job."""

        def final() -> dict[str, Any] | None:
            job: dict[str, Any] = self.get(f"jobs/{job_id}?wait=10")
            return None if job["state"] in ("queued", "running") else job

        return poll(final, what=f"job {job_id}", deadline=PATIENCE)


def browser(composition: Composition) -> httpx.Client:
    """Somebody without a session."""
    return httpx.Client(base_url=composition.url, timeout=30, trust_env=False)


def enter_administration(composition: Composition, http: httpx.Client) -> None:
    """Sign in, as a new member of the staff."""
    email = f"operator.{secrets.token_hex(4)}@example.org"
    create = ("manage.py", "createsuperuser", "--no-input", "--email", email)
    variable = f"DJANGO_SUPERUSER_PASSWORD={PASSWORD}"
    composition.compose("exec", "-T", "-e", variable, "web", "python", *create)
    sign_in(http, email, PASSWORD, then="/flower/")


def result_of_a_task(composition: Composition) -> str:
    """Have one of web's own tasks done; what it returned."""
    program = "from web.ops.tasks import prune; print(prune.delay().get(timeout=60))"
    shell = ("python", "manage.py", "shell", "--verbosity", "0", "-c", program)
    said: list[str] = []

    def deleted() -> str | None:
        ran = composition.try_compose("run", "--rm", "--no-deps", "-T", "migrate", *shell)
        said.append(ran.stderr)
        return None if ran.returncode else ran.stdout.strip()  # another test may stop PostgreSQL

    return poll(deleted, what="result of a task", deadline=PATIENCE, explain=lambda: said[-1])


def _content(answer: httpx.Response) -> Any:
    assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.text}"
    return answer.json() if answer.content else None
