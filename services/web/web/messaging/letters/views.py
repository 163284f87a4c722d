"""The operators' API of dead letters."""

from typing import Any

from django.db.models import Count, DurationField, ExpressionWrapper, Min, QuerySet
from django.db.models.functions import Now
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import viewsets
from rest_framework.decorators import action
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from web.messaging.letters import repair
from web.messaging.letters.serializers import (
    DeadLetterDetailSerializer,
    DeadLetterSerializer,
    ReportSerializer,
    SelectionSerializer,
    SummarySerializer,
)
from web.messaging.models import DeadLetter
from web.openapi import problem
from web.pagination import NewestFirst
from web.problems import Conflict

MOST_GROUPS = 100
REPAIRS = {"replay", "discard", "replay_many", "discard_many"}
CONFLICTS = problem(
    "`dead_letter_handled`: it has been replayed or discarded before. "
    "`dead_letter_not_replayable`: its job or mail has not failed, or it came from elsewhere."
)


class OperatorPermission(BasePermission):
    """Staff with one of ``permissions``, which the admin asks for too."""

    permissions: tuple[str, ...]  # any of these

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the user is staff and has one of the permissions."""
        user: Any = request.user
        return user.is_staff and any(map(user.has_perm, self.permissions))


class MayRead(OperatorPermission):
    """Staff who may see dead letters."""

    permissions = ("messaging.view_deadletter", "messaging.change_deadletter")


class MayRepair(OperatorPermission):
    """Staff who may change dead letters."""

    permissions = ("messaging.change_deadletter",)


class DeadLetterFilter(filters.FilterSet):
    """``?state=waiting&reason=malformed``; ``state`` may be given several times."""

    state = filters.MultipleChoiceFilter(choices=DeadLetter.State.choices, distinct=False)
    created_after = filters.IsoDateTimeFilter("created_at", "gte")
    created_before = filters.IsoDateTimeFilter("created_at", "lt")

    class Meta:
        model = DeadLetter
        fields = ["state", "reason", "task", "queue", "task_id"]


@extend_schema_view(
    list=extend_schema(summary="List dead letters, newest first"),
    retrieve=extend_schema(summary="Show a dead letter without what is secret"),
)
class DeadLetterViewSet(viewsets.ReadOnlyModelViewSet[DeadLetter]):
    """Messages that could not be handled, for staff.

    Reading needs the permission to view dead letters, and repairing the permission to change them.
    A replay sends the message again with the id of its job or mail. A letter that was replayed or
    discarded stays on record, without the message's body.
    """

    queryset = DeadLetter.objects.all()
    serializer_class = DeadLetterSerializer
    pagination_class = NewestFirst
    filterset_class = DeadLetterFilter
    lookup_value_regex = "[0-9]{1,18}"

    def get_permissions(self) -> list[Any]:
        """Require MayRead, and MayRepair for replays and discards."""
        return [MayRepair() if self.action in REPAIRS else MayRead()]

    def get_queryset(self) -> QuerySet[DeadLetter]:
        """Select all letters; in lists without the large fields."""
        letters = super().get_queryset()
        return letters.defer("headers", "properties", "body") if self.action == "list" else letters

    def get_serializer_class(self) -> type[BaseSerializer[DeadLetter]]:
        """Leave the details out of lists."""
        return DeadLetterSerializer if self.action == "list" else DeadLetterDetailSerializer

    @extend_schema(
        summary="Replay a dead letter",
        request=None,
        responses={200: DeadLetterDetailSerializer, 409: CONFLICTS},
    )
    @action(detail=True, methods=["post"])
    def replay(self, request: Request, pk: Any = None) -> Response:
        """Send its message again; its job or mail is queued again."""
        return self._repair_one(request, repair.replay)

    @extend_schema(
        summary="Discard a dead letter",
        request=None,
        responses={200: DeadLetterDetailSerializer, 409: CONFLICTS},
    )
    @action(detail=True, methods=["post"])
    def discard(self, request: Request, pk: Any = None) -> Response:
        """Give it up; its job or mail stays failed."""
        return self._repair_one(request, repair.discard)

    @extend_schema(
        operation_id="ops_dead_letters_replay_many",
        summary="Replay several dead letters",
        request=SelectionSerializer,
        responses=ReportSerializer,
    )
    @action(detail=False, methods=["post"], url_path="replay", filterset_class=None)
    def replay_many(self, request: Request) -> Response:
        """Replay the letters with these ids, or all waiting ones of a reason."""
        return _repair_many(request, repair.replay)

    @extend_schema(
        operation_id="ops_dead_letters_discard_many",
        summary="Discard several dead letters",
        request=SelectionSerializer,
        responses=ReportSerializer,
    )
    @action(detail=False, methods=["post"], url_path="discard", filterset_class=None)
    def discard_many(self, request: Request) -> Response:
        """Discard the letters with these ids, or all waiting ones of a reason."""
        return _repair_many(request, repair.discard)

    @extend_schema(summary="Count the dead letters that wait", responses=SummarySerializer)
    @action(detail=False, filterset_class=None, pagination_class=None)
    def summary(self, request: Request) -> Response:
        """Count the waiting letters by reason and task, and tell the age of the oldest."""
        waiting = DeadLetter.objects.filter(state=DeadLetter.State.WAITING)
        age = ExpressionWrapper(Now() - Min("created_at"), DurationField())
        total = waiting.aggregate(waiting=Count("pk"), age=age)
        groups = waiting.order_by().values("reason", "task")
        groups = groups.annotate(count=Count("pk"), oldest=Min("created_at"))
        counted = {
            "waiting": total["waiting"],
            "oldest_age": total["age"].total_seconds() if total["age"] is not None else None,
            "groups": groups.order_by("-count", "reason", "task")[:MOST_GROUPS],
        }
        return Response(SummarySerializer(counted).data)

    def _repair_one(self, request: Request, act: repair.Action) -> Response:
        letter = self.get_object()
        for refusal in act([letter.pk], _name(request)):
            raise Conflict(f"Not done: {refusal.detail}.", refusal.code)
        letter.refresh_from_db()
        return Response(DeadLetterDetailSerializer(letter).data)


def _repair_many(request: Request, act: repair.Action) -> Response:
    serializer = SelectionSerializer(data=request.data)
    serializer.is_valid(raise_exception=True)
    ids = _selected(**serializer.validated_data)
    report = repair.sweep(act, ids, _name(request), seconds=repair.REQUEST_BUDGET)
    return Response(ReportSerializer(report).data)


def _selected(
    ids: list[int] | None = None, reason: str | None = None, task: str | None = None
) -> list[int]:
    return ids if ids is not None else repair.waiting(reason=reason, task=task)


def _name(request: Request) -> str:
    return str(request.user.get_username())
