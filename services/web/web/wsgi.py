"""The application that gunicorn serves."""

import os
from typing import Any

import django
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "web.settings")


class Request(WSGIRequest):
    """A request whatever its Content-Type, over which Django's own would stumble unanswered."""

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        try:
            super()._set_content_type_params(meta)  # type: ignore[misc] # not in the stubs
        except ValueError:  # a parameter that names a codec which there is not (RFC 2231)
            self.content_type, self.content_params = "", {"charset": "unknown"}


class Application(WSGIHandler):
    """Django's, with our requests."""

    request_class = Request


django.setup(set_prefix=False)
application = Application()
