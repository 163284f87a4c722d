"""Pages for supervisors, and for whoever looks up what a problem means."""

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

# The permission that each of the operators' pages behind the proxy asks for.
DOORS = {
    "flower": "messaging.change_worker",  # it can revoke tasks and end workers
    "rabbitmq": "messaging.view_outboxmessage",  # it asks for a password of its own, too
    "mails": "mail.change_email",  # what is in a mail is otherwise shown to nobody
}


@csrf_exempt
@require_safe
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """Tell that the process answers. It asks nobody else: restarting web heals no database."""
    return JsonResponse({"status": OK})


@csrf_exempt
@require_safe
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """Tell whether requests may be sent here, and what is missing if not."""
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
    """Tell Prometheus how much there is of what. The proxy lets nobody from outside see it."""
    return HttpResponse(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)


@csrf_exempt
@require_safe
def problem_types(request: HttpRequest) -> HttpResponse:
    """Explain the codes of problems; their types point here."""
    problems = [(code, title(code), meaning) for code, meaning in sorted(MEANINGS.items())]
    return render(request, "ops/problems.html", {"problems": problems})


@csrf_exempt
@require_safe
@never_cache
def door(request: HttpRequest, page: str) -> HttpResponse:
    """Tell a reverse proxy whether the session is that of somebody who may see operators' pages.

    204 if so, 403 if not, 401 without a session. Made for nginx's ``auth_request``
    (https://nginx.org/en/docs/http/ngx_http_auth_request_module.html).

    Args:
        request: the browser's, without its body.
        page: one of ``DOORS``.
    """
    user = request.user
    if not user.is_authenticated:
        return HttpResponse(status=401)
    admitted = user.is_staff and page in DOORS and user.has_perm(DOORS[page])
    return HttpResponse(status=204 if admitted else 403)
