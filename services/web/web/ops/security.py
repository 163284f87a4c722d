"""The rules by which browsers treat web's pages."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

# Swagger UI and the admin use inline styles. No page has an inline script.
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class ContentSecurityPolicyMiddleware:
    """Send a Content-Security-Policy with every answer.

    Source: https://developer.mozilla.org/en-US/docs/Web/HTTP/CSP
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Handle one request."""
        response = self._get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response
