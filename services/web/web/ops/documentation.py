"""The API's description, as programs read it."""

from threading import Lock
from typing import Any

from django.http import HttpResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

_making = Lock()
_made: dict[type[BaseRenderer], Any] = {}


class DescriptionView(SpectacularAPIView):
    """Serves the OpenAPI description as YAML or JSON. It takes no parameter.

    Making it takes seconds of processor time, and its library does not allow for two threads that
    do so for the first time. So it is made once, by one thread, and kept.
    """

    @extend_schema(exclude=True)
    def get(self, request: Request, *_args: Any, **_parameters: Any) -> HttpResponse:
        """Return it in the format that was asked for."""
        renderer = request.accepted_renderer
        return HttpResponse(
            _description(renderer),
            content_type=f"{renderer.media_type}; charset=utf-8",
            headers={"Content-Disposition": f'inline; filename="warren.{renderer.format}"'},
        )


def _description(renderer: BaseRenderer) -> Any:
    with _making:
        if type(renderer) not in _made:
            made: Any = SchemaGenerator()  # type: ignore[no-untyped-call]
            _made[type(renderer)] = renderer.render(made.get_schema(public=True))
        return _made[type(renderer)]
