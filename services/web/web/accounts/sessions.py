"""Sessions of the API: what begins with a sign-in, and each refresh prolongs.

A refresh token can be exchanged once. If it comes again, somebody has copied it, so the session
ends for both: for the thief and for the owner, who signs in again. Source: RFC 9700, 4.14.2.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import structlog
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import AuthenticationFailed, TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token

from web.accounts.models import Session, User

log = structlog.get_logger("web.security")

LONGEST = timedelta(days=90)  # from the sign-in, however often the session is prolonged
REPEATABLE = timedelta(seconds=10)  # for a client that did not get the answer
MOST = 100  # open sessions of one user
CLAIM = "sid"
LONGEST_AGENT = 200  # characters


def begin(user: User, network: str, agent: str = "") -> RefreshToken:
    """Begin a session, and return its first refresh token. Beyond 100, the oldest one ends.

    Args:
        user: who has signed in.
        network: of the client.
        agent: as the client calls itself.
    """
    session = Session(user=user, network=network, agent=agent[:LONGEST_AGENT])
    session.expires_at = _end(session)
    session.save(force_insert=True)
    kept = Session.objects.filter(user=user).order_by("-used_at", "-id").values("pk")[:MOST]
    Session.objects.filter(user=user).exclude(pk__in=kept).delete()
    return _token(session)


def prolong(raw: str, network: str) -> RefreshToken:
    """Exchange a refresh token for the next one.

    The same answer comes for ``REPEATABLE``, so that a lost answer ends no session.

    Raises TokenError or AuthenticationFailed. A token that was exchanged before ends its session.
    """
    token = RefreshToken(cast("Any", raw))  # the stubs know no texts
    with transaction.atomic():
        session = _of(token, Session.objects.select_for_update())
        if session is None:
            raise TokenError("This session has ended.")
        # Raises if the account is closed, or its password was changed since.
        session.user = cast("User", JWTAuthentication().get_user(token))
        shown, now = UUID(token["jti"]), timezone.now()
        if shown == session.token:
            session.previous, session.token, session.used_at = shown, uuid4(), now
            session.network, session.expires_at = network, _end(session)
            session.save()
            return _token(session)
        if shown == session.previous and now < session.used_at + REPEATABLE:
            return _token(session)
        session.delete()
    log.warning(
        "session ended, for its refresh token came twice",
        user=str(session.user_id), session=str(session.pk), network=network,
    )  # fmt: skip
    raise TokenError("This refresh token was used before: its session has ended.")


def check(token: Token) -> None:
    """Raise AuthenticationFailed if the session of an access token has ended."""
    if _of(token, Session.objects.all()) is None:
        raise AuthenticationFailed("This session has ended.", code="session_ended")


def end(token: Token) -> None:
    """End the session of an access token."""
    Session.objects.filter(id__in=_ids(token)).delete()


def end_all(user: User) -> None:
    """End the sessions of a user."""
    Session.objects.filter(user=user).delete()


def id_of(token: Token) -> UUID | None:
    """Return the id of a token's session; None for a token of another kind."""
    try:
        return UUID(token[CLAIM])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _ids(token: Token) -> list[UUID]:
    found = id_of(token)
    return [found] if found else []


def _of(token: Token, sessions: Any) -> Session | None:
    found: Session | None = sessions.filter(
        id__in=_ids(token), user_id=token.get(api_settings.USER_ID_CLAIM), expires_at__gt=Now()
    ).first()
    return found


def _end(session: Session) -> datetime:
    idle = timezone.now() + api_settings.REFRESH_TOKEN_LIFETIME
    return min(idle, session.created_at + LONGEST)


def _token(session: Session) -> RefreshToken:
    token = RefreshToken.for_user(session.user)
    token[CLAIM] = str(session.pk)
    token["jti"] = session.token.hex
    token["exp"] = int(session.expires_at.astimezone(UTC).timestamp())
    return token


def access(token: RefreshToken) -> AccessToken:
    """Return an access token of the same session, which ends no later than that."""
    made = token.access_token
    made["exp"] = min(made["exp"], token["exp"])
    return made
