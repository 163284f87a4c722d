"""The meanings of the problems' codes, for the page that their types point to."""

MEANINGS = {
    "authentication_failed": "The token in the Authorization header does not identify anybody.",
    "backlog_full": "Too many jobs of all users are unfinished. Repeat the request, best with the "
    "same Idempotency-Key, after Retry-After seconds.",
    "bad_authorization_header": "The Authorization header must read `Bearer <access token>`.",
    "bad_request": "The request is not acceptable to the server, whatever it asks for.",
    "conflict": "The resource is in a state that does not allow this.",
    "content_too_large": "The body is larger than the server takes.",
    "dead_letter_handled": "The dead letter has been replayed or discarded before.",
    "dead_letter_not_replayable": "The job or mail has not failed (it ended well, was "
    "cancelled, is at work, or is gone), or the message came from nowhere that is ours.",
    "idempotency_key_reused": "The Idempotency-Key came with another request before.",
    "internal_error": "Our fault. Please tell us the request_id.",
    "invalid": "Something in the request is not right; `errors` names each field and rule.",
    "invalid_code": "The code of a verification mail is wrong, too old, or was tried too often.",
    "invalid_key": "The key from a mail is wrong, has expired, or was used before.",
    "job_is_final": "The job has already ended, so that nothing is left to cancel.",
    "length_required": "The body came in chunks; send it with a Content-Length.",
    "method_not_allowed": "This address does not know the method; Allow names those it knows.",
    "not_acceptable": "The answer is JSON only, which the Accept header rules out.",
    "not_authenticated": "This needs an access token: Authorization: Bearer …",
    "not_found": "There is nothing at this address, or it belongs to somebody else.",
    "parse_error": "The body is not JSON.",
    "password_changed": "The account has another password since the token was made. Sign in again.",
    "permission_denied": "The token is right, but does not allow this.",
    "throttled": "Too many requests; Retry-After says when the next is welcome.",
    "session_ended": "The session was ended, by its owner or because its refresh token came twice. "
    "POST /api/v1/auth/token begins another.",
    "token_not_valid": "The token has expired or was not made here. POST "
    "/api/v1/auth/token/refresh makes another of a refresh token, POST /api/v1/auth/token of an "
    "address and a password.",
    "too_many_unfinished_jobs": "Too many of your jobs are queued or running. Wait until some have "
    "ended, or cancel some, then repeat the request.",
    "unavailable": "A part of the service is away. Repeat the request after Retry-After seconds.",
    "unknown_computation": "No worker has announced this computation.",
    "unprocessable": "The request is well formed, but cannot be followed.",
    "unsupported_media_type": "Send the body as application/json, in UTF-8, uncompressed.",
    "user_inactive": "The account is closed.",
    "user_not_found": "The account is gone.",
    "wrong_password": "The current password is another one.",
    "wrong_credentials": "There is no account with this address and password, or the address has "
    "not been verified yet: open the link in the mail, or ask for a new one at "
    "POST /api/v1/users/verify/resend.",
}


def title(code: str) -> str:
    """Name a kind of problem in a few words."""
    return code.replace("_", " ").capitalize()
