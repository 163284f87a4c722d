"""Submitting two numbers, and asking for their sum."""

from importlib import import_module
from typing import Any

from django.conf import settings
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

system: Any = import_module(f"peer.systems.{settings.PEER.removesuffix('_safe')}")


class NumbersSerializer(serializers.Serializer):
    """Two numbers."""

    x = serializers.FloatField()
    y = serializers.FloatField()


class JobsView(APIView):
    """Takes a task."""

    def post(self, request: Request) -> Response:
        """Check the numbers, and have them added in the background."""
        serializer = NumbersSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return Response({"id": system.submit(**serializer.validated_data)}, status=202)


class JobView(APIView):
    """Shows a task."""

    def get(self, request: Request, task_id: str) -> Response:
        """Tell the sum once there is one."""
        answer = system.answer(task_id)
        state = "queued" if answer is None else "succeeded"
        return Response({"id": task_id, "state": state, "result": answer})
