"""An API by which the fault campaign has sums added in every way that tasks can be sent."""

from typing import Any

from celery import chain, chord
from django.db import transaction
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from staged_shop.tasks import add, add_later, total

WAYS: dict[str, Any] = {
    "task": lambda x, y: add.delay(x, y),
    "retry": lambda x, y: add_later.delay(x, y),
    "chain": lambda x, y: chain(add.s(x, y), add.s(1), add.s(-1)).apply_async(),
    "chord": lambda x, y: chord([add.s(x, 0), add.s(0, y)], total.s()).apply_async(),
}


class SumsView(APIView):
    """Adds two numbers; the answer names the task whose result it is."""

    def post(self, request: Request, way: str) -> Response:
        """Send tasks, all in one transaction."""
        with transaction.atomic():
            numbers: Any = request.data
            result = WAYS[way](numbers["x"], numbers["y"])
        return Response({"id": result.id}, status=202)
