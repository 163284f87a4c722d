"""The application that gunicorn serves."""

import os
from typing import Any

import django
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.urls import get_resolver

from web.postgresql import wakeup

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "web.settings")


class Request(WSGIRequest):
    """A request with any Content-Type. Django's own class fails on some before it can answer."""

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        try:
            super()._set_content_type_params(meta)  # type: ignore[misc] # not in the stubs
        except ValueError:  # a parameter names a codec that does not exist (RFC 2231)
            self.content_type, self.content_params = "", {"charset": "unknown"}


class Application(WSGIHandler):
    """Django's application, with the requests above."""

    request_class = Request


django.setup(set_prefix=False)
wakeup.notify_in_background()
_ = get_resolver().url_patterns  # loads all views, before gunicorn forks its workers
application = Application()
