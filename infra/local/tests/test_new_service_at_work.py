"""A service that ``make service`` makes: it starts, works, is seen everywhere, and goes again."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.admin import sign_in
from tests.support.polling import poll

from .checkouts import CHECKOUT, Checkout

pytestmark = pytest.mark.checkout
PASSWORD = "correct horse battery staple"
OPERATOR = "operator@example.org"
MAKE_OPERATOR = f"""
from web.accounts.models import User

User.objects.create_superuser({OPERATOR!r}, {PASSWORD!r})
"""
SEND = """
from contracts.tasks import COUNT_WORDERY_WORDS
from web.tasks.contracted import contract_task

print(contract_task(COUNT_WORDERY_WORDS).delay(text="four words and more").get(timeout=60))
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy of the repository in which the service was made."""
    copy = Checkout(tmp_path_factory.mktemp("service") / "warren")
    copy.link_downloads()
    made = copy.make("service", "NAME=wordery")
    assert made.returncode == 0, made.stderr
    return copy


@pytest.mark.timeout(900)  # two starts of everything, on a machine that may be busy
def test_it_works_is_seen_and_goes_again(checkout: Checkout, tmp_path: Path) -> None:
    log = tmp_path / "up.log"
    with checkout.up(log):
        poll(
            lambda: re.search(r"wordery-\d+@\S+ ready\.", log.read_text()),
            what="worker",
            explain=log.read_text,
        )
        assert shell(checkout, SEND) == "4"
        assert_flower_shows_it(checkout)
        assert_admin_shows_it(checkout)
        assert_doctor_misses_it_once_it_is_away(checkout)
    remove(checkout)
    with checkout.up(log):
        await_clean_bill(checkout)
        assert "wordery" not in log.read_text()
        with signed_in(checkout) as admin:  # its work is still told
            assert "wordery.count_words" in admin.get("/admin/tasks/task/").text


def assert_flower_shows_it(checkout: Checkout) -> None:
    account = checkout.settings.variables
    with httpx.Client(
        base_url=checkout.settings.flower_url,
        auth=(account["FLOWER_USER"], account["FLOWER_PASSWORD"]),
        timeout=60,
        trust_env=False,
    ) as flower:

        def shown(path: str, **query: str) -> Any:
            return flower.get(path, params=query).json()

        workers = poll(lambda: shown("/api/workers", refresh="1"), bool, what="workers")
        assert [name for name in workers if name.startswith("wordery")], workers
        tasks = poll(
            lambda: shown("/api/tasks", taskname="wordery.count_words", state="SUCCESS"),
            what="task in Flower",
        )
        assert "four words" not in json.dumps(tasks)


def assert_admin_shows_it(checkout: Checkout) -> None:
    shell(checkout, MAKE_OPERATOR)
    with signed_in(checkout) as admin:
        assert "wordery.count_words" in admin.get("/admin/tasks/task/").text
        assert "wordery" in admin.get("/admin/messaging/worker/").text


def assert_doctor_misses_it_once_it_is_away(checkout: Checkout) -> None:
    await_clean_bill(checkout)
    assert checkout.make("scale", "wordery=0").returncode == 0
    problems = poll(lambda: findings(checkout), what="problem")
    assert any("nobody takes from the queue wordery" in problem for problem in problems)


def await_clean_bill(checkout: Checkout) -> None:
    poll(lambda: findings(checkout), lambda found: found == [], what="clean bill")


def findings(checkout: Checkout) -> list[str]:
    """What the doctor does not call well."""
    examined = checkout.make("doctor", "ARGS=--json")
    found = json.loads(examined.stdout)["findings"]
    return [each["found"] for each in found if each["level"] != "ok"]


def shell(checkout: Checkout, program: str) -> str:
    """Run a program in web's shell; the last line that it prints."""
    ended = checkout.run("make", "run", "ARGS=python services/web/manage.py shell", typed=program)
    assert ended.returncode == 0, ended.stderr
    return (ended.stdout.splitlines() or [""])[-1]


@contextmanager
def signed_in(checkout: Checkout) -> Iterator[httpx.Client]:
    """The admin, as the operator."""
    with httpx.Client(base_url=checkout.settings.web_url, timeout=60, trust_env=False) as admin:
        sign_in(admin, OPERATOR, PASSWORD)
        yield admin


def remove(checkout: Checkout) -> None:
    """Undo what was made, as git would."""
    shutil.rmtree(checkout.root / "services/wordery")
    shutil.rmtree(checkout.root / "packages/contracts/schemas")
    for name in ("packages/contracts/src", "packages/contracts/schemas", "infra/rabbitmq"):
        shutil.copytree(CHECKOUT / name, checkout.root / name, dirs_exist_ok=True)
    for name in ("Procfile", "docker-compose.yml", "uv.lock"):
        shutil.copyfile(CHECKOUT / name, checkout.root / name)
