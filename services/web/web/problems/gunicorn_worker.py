"""gunicorn's worker, which answers requests that never reach Django with problems too."""

import json
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from gunicorn import util
from gunicorn.http import errors
from gunicorn.workers.gthread import ThreadWorker
from rest_framework import exceptions

from web import request_id
from web.problems.document import MEDIA_TYPE, describe
from web.problems.exceptions import InternalError

STATUSES = {
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
}
# Errors of the server, although gunicorn derives them from ParseException, as errors of requests.
OURS = (
    errors.ConfigurationProblem,
    errors.InvalidResponseHeader,
    errors.InvalidResponseHeaderName,
)


class Worker(ThreadWorker):
    """Has a thread for each request, so that a request which waits for its job holds no process."""

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer a request that cannot be read, or whose answer cannot be sent.

        Args:
            req: the request, or None if it could not be read.
            client: its socket.
            addr: the client's address and port.
            exc: the error.
        """
        headers = dict(getattr(req, "headers", ()))
        with request_id.restored(request_id.chosen(headers.get(request_id.HEADER.upper(), ""))):
            problem = _problem(exc)
            if isinstance(problem, InternalError):
                self.log.error("Error handling request", exc_info=exc)
            else:
                self.log.warning("Invalid request from ip=%s: %s", addr[0] if addr else "", exc)
            with suppress(OSError):  # the client has gone
                util.write_nonblock(client, _answer(problem, getattr(req, "path", None) or ""))


def _problem(error: Exception) -> exceptions.APIException:
    if isinstance(error, OURS) or not isinstance(error, errors.ParseException):
        return InternalError()
    problem = exceptions.ParseError(str(error), "bad_request")
    problem.status_code = STATUSES.get(type(error), HTTPStatus.BAD_REQUEST)
    return problem


def _answer(problem: exceptions.APIException, path: str) -> bytes:
    body = json.dumps(describe(problem, path)).encode()
    status = HTTPStatus(problem.status_code)
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Connection: close",
        f"Content-Type: {MEDIA_TYPE}",
        f"Content-Length: {len(body)}",
        f"{request_id.HEADER}: {request_id.current()}",
    )
    return "\r\n".join((*lines, "", "")).encode() + body
