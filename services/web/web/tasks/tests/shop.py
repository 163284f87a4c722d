"""Tasks as anybody would write them."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import celery
from celery.exceptions import Ignore, Reject
from celery.result import AsyncResult
from django.contrib.auth import get_user_model
from django.db import transaction

# As its users have it who do not check types: the stubs do not know options of one's own.
shared_task: Any = celery.shared_task


@shared_task
def add(x: int, y: int) -> int:
    return x + y


@shared_task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@shared_task
def send_welcome_email(user_id: str) -> str:
    return get_user_model().objects.get(pk=user_id).email


@shared_task(ignore_result=True)
def silent(x: int) -> int:
    return x


@shared_task
def fail(text: str) -> None:
    raise ValueError(text)


@shared_task(throws=(LookupError,))
def not_there() -> None:
    raise LookupError("nothing is there")


@shared_task(bind=True, max_retries=3)
def flaky(self: Any, until: int) -> int:
    if self.request.retries < until:
        raise self.retry(countdown=60, exc=RuntimeError("not yet"))
    return self.request.retries


@shared_task(bind=True, max_retries=3)
def flaky_in_a_transaction(self: Any, until: int) -> int:
    with transaction.atomic():
        if self.request.retries < until:
            raise self.retry(countdown=1)
    return self.request.retries


@shared_task(bind=True, autoretry_for=(KeyError,), retry_backoff=1, max_retries=2)
def autoretry(self: Any, until: int) -> int:
    if self.request.retries < until:
        raise KeyError("x")
    return self.request.retries


troubles: list[Exception] = []  # that a run meets, one after the other


@shared_task
def meet_troubles() -> str:
    if troubles:
        raise troubles.pop()
    return "all is well"


@shared_task(bind=True, ignore_result=True, max_retries=1)
def silent_and_flaky(self: Any) -> None:
    if self.request.retries < 1:
        raise self.retry(countdown=1)


@shared_task(bind=True, max_retries=1)
def retry_without_throwing(self: Any) -> None:
    self.retry(countdown=0, throw=False)


@shared_task
def typed(day: datetime, price: Decimal, key: UUID) -> dict[str, Any]:
    assert isinstance(day, datetime)
    return {"day": day, "price": price, "key": key, "pair": (1, 2), "raw": b"ab"}


@shared_task(shown=("user_id",))
def tell(user_id: int, password: str) -> str:
    return f"{user_id} {len(password)}"


@shared_task
def parent(n: int) -> list[str]:
    with transaction.atomic():
        return [add.delay(i, i).id for i in range(n)]


@shared_task
def adds_by_call() -> int:
    return add(1, 2) + add.run(3, 4)


@shared_task(bind=True)
def progress(self: Any) -> list[Any]:
    seen = []
    for number, state in enumerate(("PROGRESS", "COUNTING")):
        self.update_state(state=state, meta={"current": number, "at": datetime.now(UTC)})
        result: Any = AsyncResult(self.request.id)
        seen += [result.state, result.info["current"], isinstance(result.info["at"], datetime)]
    return seen


@shared_task
def ignored() -> None:
    raise Ignore


@shared_task
def rejected() -> None:
    raise Reject("no", requeue=False)


@shared_task
def weird(kind: str) -> Any:
    deep: list[Any] = []
    for _ in range(200):
        deep = [deep]
    return {
        "nan": float("nan"),
        "object": object(),
        "nul": "a\0b",
        "surrogate": "\ud800",
        "big": 2**80,
        "keys": {1: 2},
        "deep": deep,
        "large": "x" * 300_000,
    }[kind]


@shared_task
def fail_weirdly() -> None:
    raise ValueError("a\0b \ud800")
