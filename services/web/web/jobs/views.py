"""The API of jobs and computations."""

from typing import Any, cast

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_view,
)
from rest_framework import exceptions, mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.throttling import BaseThrottle

from web.accounts.models import User
from web.accounts.throttles import SubmissionThrottle
from web.jobs import admission, batches, cancellation, catalogue, refusals, submission, waiting
from web.jobs.models import Computation, Job
from web.jobs.serializers import (
    BatchAnswerSerializer,
    BatchSerializer,
    ComputationSerializer,
    JobSerializer,
    ListedJobSerializer,
    SubmissionSerializer,
)
from web.openapi import problem
from web.pagination import ByName, NewestFirst
from web.problems import Conflict

LONGEST_WAIT = 60.0  # seconds
KEY_LENGTH = 255
# DRF makes the fields of a serializer with its first use. These keep nothing of a request.
JOB, SUBMISSION, BATCH = JobSerializer(), SubmissionSerializer(), BatchSerializer()
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    location=OpenApiParameter.HEADER,
    description="Repeat a request with the same key as often as you like: it counts once.",
)
WAIT = OpenApiParameter(
    "wait",
    OpenApiTypes.NUMBER,
    description=f"Hold the answer until the job is final, or for so many seconds (at most "
    f"{LONGEST_WAIT:.0f}).",
)


class JobFilter(filters.FilterSet):
    """Reads ``?state=failed``, also with several states: ``?state=queued&state=running``."""

    state = filters.MultipleChoiceFilter(choices=Job.State.choices, distinct=False)
    computation = filters.CharFilter()

    class Meta:
        model = Job
        fields = ["state", "computation"]


@extend_schema_view(
    list=extend_schema(
        summary="List your jobs, newest first",
        description="Without arguments and results, which GET /api/v1/jobs/{id} shows.",
    )
)
class JobViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[Job]):
    """Jobs of the user who asks. Another user's job is answered with 404."""

    queryset = Job.objects.none()
    serializer_class = ListedJobSerializer
    pagination_class = NewestFirst
    filterset_class = JobFilter
    lookup_value_regex = "[0-9a-f-]{36}"

    def get_throttles(self) -> list[BaseThrottle]:
        """Limit only submissions, because each of them is stored; ``batch`` counts its own."""
        return [SubmissionThrottle()] if self.action == "create" else []

    def get_queryset(self) -> QuerySet[Job]:
        """Select the user's own jobs; in lists without large fields (arguments and results)."""
        jobs = Job.objects.filter(owner=cast("User", self.request.user))
        return jobs.defer("arguments", "result") if self.action == "list" else jobs

    @extend_schema(
        summary="Submit a computation",
        parameters=[IDEMPOTENCY_KEY],
        request=SubmissionSerializer,
        responses={
            202: OpenApiResponse(JobSerializer, "Accepted; see Location."),
            404: problem("`unknown_computation`: no worker has announced it."),
            422: problem("`idempotency_key_reused`: the key came with another request before."),
            429: problem(
                "`too_many_unfinished_jobs`: wait until some of yours have ended; `throttled`: you "
                "have submitted too much within an hour. Retry-After says when to come back."
            ),
            503: problem("`backlog_full`: all of us have too many; or the database is away."),
        },
    )
    def create(self, request: Request) -> Response:
        """Accept a job. It runs in the background, whatever the broker is doing right now."""
        asked = SUBMISSION.run_validation(request.data)
        name, arguments = asked["computation"], asked["arguments"]
        owner, key = cast("User", request.user), _idempotency_key(request)
        try:
            # First, because an accepted job stays accepted even if its computation was withdrawn.
            job = submission.earlier(owner, name, arguments, key)
            if job is None:
                computation = _find_computation(name, arguments)
                job = submission.submit(owner, computation, arguments, key)
        except submission.KeyReusedError as error:
            raise refusals.key_reused() from error
        except admission.RefusedError as error:
            raise refusals.not_admitted(error) from error
        location = reverse("job-detail", args=[job.pk], request=request)
        return Response(_shown(job), status.HTTP_202_ACCEPTED, headers={"Location": location})

    @extend_schema(
        summary="Submit many computations at once",
        parameters=[IDEMPOTENCY_KEY],
        request=BatchSerializer,
        responses={
            202: OpenApiResponse(
                BatchAnswerSerializer, "Each entry is accepted, or has a problem."
            ),
            422: problem("`idempotency_key_reused`: the key came with another request before."),
            429: problem(
                "`too_many_unfinished_jobs`: not one more is accepted until some of yours have "
                "ended; `throttled`: you have submitted too much within an hour. Retry-After says "
                "when to come back."
            ),
            503: problem("`backlog_full`: all of us have too many; or the database is away."),
        },
    )
    @action(detail=False, methods=["post"])
    def batch(self, request: Request) -> Response:
        """Accept up to 1,000 jobs at once. `jobs` of the answer has the order of the request's.

        An entry that is wrong does not stop the others, and neither does one too many for your
        limit of unfinished jobs. With an Idempotency-Key a repetition gets the same answer, so send
        what was refused with another key. Up to 20 of the problems list their `errors`.
        """
        entries = BATCH.run_validation(request.data)["jobs"]
        owner, key = cast("User", request.user), _idempotency_key(request)
        throttle = SubmissionThrottle(len(entries))
        if not throttle.allow_request(request, self):
            self.throttled(request, throttle.wait())
        idempotency = batches.Idempotency.of(key, request.data) if key else None
        try:
            answer = batches.earlier(owner, idempotency)
            if answer is None:
                answer = batches.submit(owner, batches.check(entries), idempotency)
        except submission.KeyReusedError as error:
            raise refusals.key_reused() from error
        except admission.RefusedError as error:
            raise refusals.not_admitted(error) from error
        return Response(answer, status.HTTP_202_ACCEPTED)

    @extend_schema(summary="Show a job", parameters=[WAIT])
    def retrieve(self, request: Request, pk: Any = None) -> Response:
        """Show where a job is, and its result once there is one."""
        seconds = _wait(request)
        job = self.get_object()
        if seconds:
            job = waiting.wait(job, seconds)
        return Response(_shown(job))

    @extend_schema(
        summary="Cancel a job",
        request=None,
        responses={200: JobSerializer, 409: problem("`job_is_final`: it has already ended.")},
    )
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: Any = None) -> Response:
        """Cancel a job that is queued or running. A repetition changes nothing."""
        job = self.get_object()
        try:
            job = cancellation.cancel(cast("User", request.user), job.pk)
        except cancellation.AlreadyFinalError as error:
            raise Conflict("The job has already ended.", "job_is_final") from error
        return Response(_shown(job))


@extend_schema_view(
    list=extend_schema(summary="List what can be computed"),
    retrieve=extend_schema(summary="Show a computation"),
)
class ComputationViewSet(viewsets.ReadOnlyModelViewSet[Computation]):
    """Computations that the compute workers have announced, with JSON Schemas and limits."""

    queryset = Computation.objects.filter(available=True)
    serializer_class = ComputationSerializer
    pagination_class = ByName
    filter_backends = []
    lookup_value_regex = "[A-Za-z0-9_.-]+"


def _shown(job: Job) -> dict[str, Any]:
    return JOB.to_representation(job)


def _find_computation(name: str, arguments: dict[str, Any]) -> Computation:
    entry = catalogue.find(name)
    if entry is None:
        raise refusals.unknown_computation(name)
    if wrong := refusals.wrong_arguments(entry, arguments):
        raise wrong
    return entry.computation


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not 0 < len(key) <= KEY_LENGTH:
        raise exceptions.ValidationError(
            {"Idempotency-Key": [f"It must have 1 to {KEY_LENGTH} characters."]}
        )
    return key


def _wait(request: Request) -> float:
    raw = request.query_params.get("wait", "0")
    try:
        seconds = float(raw)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_WAIT:
        raise exceptions.ValidationError(
            {"wait": [f"It must be a number of seconds from 0 to {LONGEST_WAIT:.0f}."]}
        )
    return seconds
