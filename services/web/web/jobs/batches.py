"""Many jobs of one request, stored in one transaction: all jobs at once, then all messages."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import msgspec
from django.db import IntegrityError, transaction
from rest_framework.exceptions import APIException, ValidationError

from contracts.tasks import RUN_COMPUTATION, RunComputation
from web.accounts.models import User
from web.jobs import admission, catalogue, refusals, submission
from web.jobs.models import Computation, Job, JobBatch
from web.jobs.serializers import SubmissionSerializer
from web.messaging.outbox import outbox
from web.postgresql.insertion import Blank
from web.problems.document import describe

MOST_EXPLAINED = 20  # problems of an answer that list their errors
OF_THE_REQUEST = {"instance", "request_id"}  # members of a problem that do not differ in a batch
SUBMISSION = SubmissionSerializer()


class Idempotency(NamedTuple):
    """An idempotency key, and the digest of the body that came with it."""

    key: str
    digest: str

    @classmethod
    def of(cls, key: str, body: Any) -> "Idempotency":
        """Take the digest of a body, which does not depend on the order of its members."""
        text = msgspec.json.encode(body, order="sorted")
        return cls(key, hashlib.sha256(text).hexdigest())


class Asked(NamedTuple):
    """A job that may be accepted, and the id that it has then."""

    id: UUID
    computation: Computation
    arguments: dict[str, Any]


def check(entries: Sequence[Any]) -> list[Asked | APIException]:
    """Read each entry, or say what is wrong with it."""
    asked = [_read(entry) for entry in entries]
    names = {each["computation"] for each in asked if isinstance(each, dict)}
    known = catalogue.find_all(names)
    return [
        _prepare(known.get(each["computation"]), each) if isinstance(each, dict) else each
        for each in asked
    ]


def _read(entry: Any) -> dict[str, Any] | APIException:
    try:
        values: dict[str, Any] = SUBMISSION.run_validation(entry)
    except ValidationError as error:
        return error
    return values


def _prepare(entry: catalogue.Entry | None, asked: dict[str, Any]) -> Asked | APIException:
    if entry is None:
        return refusals.unknown_computation(asked["computation"])
    wrong = refusals.wrong_arguments(entry, asked["arguments"])
    return wrong or Asked(uuid4(), entry.computation, asked["arguments"])


def submit(
    owner: User, checked: Sequence[Asked | APIException], idempotency: Idempotency | None
) -> dict[str, Any]:
    """Accept as many of the jobs as the user may have, in their order, and return the answer.

    An answer that was given under the same key before is given again.

    Raises submission.KeyReusedError if the key belongs to another request, and
    admission.RefusedError if not one job is accepted for the limits.
    """
    jobs = [each for each in checked if isinstance(each, Asked)]
    try:
        if jobs:
            admission.check_backlog()
        with transaction.atomic():
            room = admission.admit_many(owner, len(jobs)) if jobs else 0
            answer = _answer(checked, room)
            if idempotency:
                _remember(owner, idempotency, answer)
            if room:
                _store(owner, jobs[:room])
    except (IntegrityError, admission.RefusedError):
        # The same request may have been answered at the same time.
        given = earlier(owner, idempotency)
        if given is None:
            raise
        return given
    return answer


def earlier(owner: User, idempotency: Idempotency | None) -> dict[str, Any] | None:
    """Find the answer that was given under the same key before.

    Raises submission.KeyReusedError if the key belongs to another request.
    """
    if idempotency is None:
        return None
    batch = JobBatch.objects.filter(owner=owner, idempotency_key=idempotency.key).first()
    if batch is None:
        return None
    if batch.digest != idempotency.digest:
        raise submission.KeyReusedError
    answer: dict[str, Any] = batch.answer
    return answer


def _store(owner: User, jobs: Sequence[Asked]) -> None:
    fields: dict[str, list[Any]] = {
        "id": [job.id for job in jobs],
        "computation": [job.computation.name for job in jobs],
        "arguments": [job.arguments for job in jobs],
        "soft_time_limit": [job.computation.soft_time_limit for job in jobs],
        "time_limit": [job.computation.time_limit for job in jobs],
    }
    Blank(Job(owner=owner), fields).store(fields)
    outbox.send_all(RUN_COMPUTATION, (_run(*job) for job in jobs))


def _run(
    job_id: UUID, computation: Computation, arguments: dict[str, Any]
) -> outbox.FirstRun[RunComputation]:
    limits = computation.soft_time_limit, computation.time_limit
    payload = RunComputation(job_id=str(job_id), computation=computation.name, arguments=arguments)
    return outbox.FirstRun(job_id, payload, limits, computation.expected)


def _remember(owner: User, idempotency: Idempotency, answer: dict[str, Any]) -> None:
    key, digest = idempotency
    batch = JobBatch(owner=owner, idempotency_key=key, digest=digest, answer=answer)
    batch.save(force_insert=True)


def _answer(checked: Sequence[Asked | APIException], room: int) -> dict[str, Any]:
    beyond = refusals.not_admitted(admission.TooManyUnfinishedError())
    entries: list[dict[str, Any]] = []
    accepted = explained = 0
    for each in checked:
        if isinstance(each, Asked) and accepted < room:
            entries.append({"id": str(each.id)})
            accepted += 1
        else:
            problem = _problem(beyond if isinstance(each, Asked) else each)
            explained += bool(problem["errors"])
            if explained > MOST_EXPLAINED:
                problem["errors"] = []
            entries.append({"problem": problem})
    return {"accepted": accepted, "refused": len(entries) - accepted, "jobs": entries}


def _problem(error: APIException) -> dict[str, Any]:
    document = describe(error, "")
    return {name: value for name, value in document.items() if name not in OF_THE_REQUEST}
