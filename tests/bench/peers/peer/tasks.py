"""Where procrastinate's worker looks for tasks."""

from django.conf import settings

if settings.PEER == "procrastinate":
    from peer.systems import procrastinate

    assert procrastinate  # imported so that its task is registered
