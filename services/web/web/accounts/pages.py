"""The pages that links in mails lead to; they work without JavaScript.

The link itself changes nothing: mail scanners open links before people do.
"""

from typing import cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import ValidationError

from web.accounts import passwords, registration, throttles, verification
from web.accounts.keys import InvalidKeyError
from web.accounts.mails import TooManyMailsError
from web.accounts.serializers import (
    EmailSerializer,
    KeySerializer,
    NewPasswordSerializer,
    check_password,
)
from web.clients import client_network


# Another site cannot know the key in the form, so the key protects it. A CSRF cookie would only
# refuse people whose mail program opens the page without cookies.
@method_decorator([csrf_exempt, never_cache], name="dispatch")
class Page(View):
    """A page with a form."""

    throttle: type[throttles.ClientThrottle]

    def post(self, request: HttpRequest) -> HttpResponse:
        """Process the form, or answer 429 with Retry-After after too many requests."""
        throttle = self.throttle()
        if not throttle.allow_request(request, self):
            return too_often(request, throttle.wait())
        return self.submit(request)

    def submit(self, request: HttpRequest) -> HttpResponse:
        """Process the form."""
        raise NotImplementedError


class VerificationPage(Page):
    """Asks for one click, which verifies the address."""

    throttle = throttles.VerificationThrottle

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the button."""
        return show(request, "confirm", key=request.GET.get("key", ""))

    def submit(self, request: HttpRequest) -> HttpResponse:
        """Verify the address that the key was mailed to."""
        form = KeySerializer(data={"key": request.POST.get("key", "")})
        if not form.is_valid():
            return show(request, "invalid", 400)
        try:
            user = verification.verify(form.validated_data["key"])
        except InvalidKeyError:
            return show(request, "invalid", 400)
        return show(request, "verified", email=user.email)


class AddressPage(Page):
    """Asks for an address, to which a mail is sent.

    The answer does not tell whether the address is known.
    """

    throttle = throttles.RegistrationThrottle
    asking: str  # names of the pages
    sent: str

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the form."""
        return show(request, self.asking)

    def submit(self, request: HttpRequest) -> HttpResponse:
        """Send the mail."""
        typed = request.POST.get("email", "")
        form = EmailSerializer(data={"email": typed})
        if not form.is_valid():
            return show(request, self.asking, 400, email=typed, wrong=True)
        try:
            self.send(form.validated_data["email"], client_network(request))
        except TooManyMailsError as error:
            return too_often(request, error.wait)
        return show(request, self.sent)

    def send(self, email: str, network: str) -> None:
        """Send the mail. Raises TooManyMailsError."""
        raise NotImplementedError


class ResendPage(AddressPage):
    """Sends a new link that verifies the address."""

    asking, sent = "resend", "resent"

    def send(self, email: str, network: str) -> None:
        """Send it, or what to do instead."""
        registration.resend(email, network)


class PasswordPage(AddressPage):
    """Sends a link for a new password."""

    asking, sent = "forgotten", "forgotten_sent"

    def send(self, email: str, network: str) -> None:
        """Send it, or that there is no account."""
        passwords.forgotten(email, network)


class PasswordResetPage(Page):
    """Asks for a new password, to which the link in the mail leads."""

    throttle = throttles.VerificationThrottle

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the form; the link alone changes nothing."""
        return show(request, "choose_password", key=request.GET.get("key", ""))

    def submit(self, request: HttpRequest) -> HttpResponse:
        """Set the password of the account that the key was mailed to."""
        typed = {name: request.POST.get(name, "") for name in ("key", "password")}
        form = NewPasswordSerializer(data=typed)
        try:
            form.is_valid(raise_exception=True)
            network = client_network(request)
            user = passwords.reset(typed["key"], typed["password"], check_password, network)
        except InvalidKeyError:
            return show(request, "forgotten", 400, invalid=True)
        except ValidationError as error:
            wrong = cast("dict[str, list[str]]", error.detail)
            if "password" not in wrong:
                return show(request, "forgotten", 400, invalid=True)
            context = {"key": typed["key"], "errors": wrong["password"]}
            return show(request, "choose_password", 400, **context)
        return show(request, "password_saved", email=user.email)


def too_often(request: HttpRequest, wait: float) -> HttpResponse:
    """Answer 429, with the seconds after which another request is welcome."""
    response = show(request, "too_often", 429)
    response.headers["Retry-After"] = str(int(wait) + 1)
    return response


def show(request: HttpRequest, name: str, status: int = 200, **context: object) -> HttpResponse:
    """Render one of the pages."""
    return render(request, f"accounts/{name}.html", context, status=status)
