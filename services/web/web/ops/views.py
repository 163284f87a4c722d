"""Addresses for supervisors, Prometheus and the proxy, and the page of the problems' codes."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from web.ops.figures import REGISTRY
from web.ops.health import NOT_READY, OK, readiness
from web.problems.catalogue import MEANINGS, title
from web.problems.exceptions import ServiceUnavailable
from web.problems.handlers import log_refused

# The permission that each of the operators' pages behind the proxy asks for.
DOORS = {
    "flower": "messaging.change_worker",  # it can revoke tasks and end workers
    "rabbitmq": "messaging.view_outboxmessage",  # it also asks for a password of its own
    "mails": "mail.change_email",  # the only page that shows the contents of mails
}


@csrf_exempt
@require_safe
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """Say that the process answers. Nothing else is asked: restarting web mends no database."""
    return JsonResponse({"status": OK})


@csrf_exempt
@require_safe
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """Say whether requests may be sent here, and otherwise what is missing."""
    found = readiness()
    if found["status"] != NOT_READY:
        return JsonResponse(found)
    response = JsonResponse(found, status=503)
    response.headers["Retry-After"] = str(ServiceUnavailable.wait)
    return response


@csrf_exempt
@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Give Prometheus the gauges of ``figures``. The proxy lets nobody outside ask for them."""
    return HttpResponse(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)


@csrf_exempt
@require_safe
def problem_types(request: HttpRequest) -> HttpResponse:
    """Explain the codes of problems. The ``type`` of a problem points here."""
    problems = [(code, title(code), meaning) for code, meaning in sorted(MEANINGS.items())]
    return render(request, "ops/problems.html", {"problems": problems})


@csrf_exempt
@require_safe
@never_cache
def door(request: HttpRequest, page: str) -> HttpResponse:
    """Tell a reverse proxy whether the session's user may see one of the operators' pages.

    Answers 204 if so, 403 if not, and 401 without a session. Made for nginx's ``auth_request``
    (https://nginx.org/en/docs/http/ngx_http_auth_request_module.html).

    Args:
        request: the browser's, without its body.
        page: one of ``DOORS``.
    """
    user = request.user
    if not user.is_authenticated:
        return HttpResponse(status=401)
    if user.is_staff and page in DOORS and user.has_perm(DOORS[page]):
        return HttpResponse(status=204)
    log_refused(request)
    return HttpResponse(status=403)
