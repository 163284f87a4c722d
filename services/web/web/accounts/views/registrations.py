"""Registration, verification, and who one is."""

from typing import cast
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import exceptions, generics, status
from rest_framework.request import Request
from rest_framework.response import Response

from web.accounts import mails, registration, serializers, throttles, verification
from web.accounts.codes import InvalidCodeError
from web.accounts.keys import InvalidKeyError
from web.accounts.models import User, has_verified_address
from web.accounts.views.common import ON_ITS_WAY, InvalidKey, PublicView, limited, validated
from web.clients import client_network
from web.openapi import problem

RESENT = "A mail to this address is on its way: with a new link, or with what to do instead."


class InvalidCode(exceptions.APIException):
    """The code of a verification mail is not valid."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "invalid_code"
    default_detail = (
        "This code is not valid, or no longer, or was tried too often: "
        "POST /api/v1/users/verify/resend sends a new one."
    )


class RegistrationView(PublicView):
    """Registration of an address."""

    throttle_classes = [throttles.RegistrationThrottle]

    @extend_schema(
        summary="Register",
        request=serializers.RegistrationSerializer,
        responses={202: OpenApiResponse(serializers.RegisteredSerializer, "A mail is on its way.")},
    )
    def post(self, request: Request) -> Response:
        """Register an address. The answer is the same whether or not it is known already.

        `registration` is for this client alone: GET /api/v1/registrations/{id} tells where the
        mail is, and POST /api/v1/users/verify takes it together with the code from the mail.
        """
        data = validated(serializers.RegistrationSerializer(data=request.data))
        with limited():
            noted = registration.register(data["email"], data["password"], client_network(request))
        answer = {"email": data["email"], "detail": ON_ITS_WAY, "registration": str(noted.pk)}
        return Response(answer, status.HTTP_202_ACCEPTED)


class RegistrationStateView(PublicView):
    """Where a registration is, for whoever knows its id.

    Not limited by itself: a count would cost more than the answer, and no id can be guessed.
    """

    @extend_schema(
        summary="Show how far a registration is",
        responses={200: serializers.RegistrationStateSerializer},
    )
    def get(self, request: Request, pk: UUID) -> Response:
        """Tell where the mail is, and whether the address is verified; for three days."""
        if found := registration.find(pk):
            mail = mails.way_of(found.mail) if found.mail else None
            return Response({"id": str(pk), "verified": False, "mail": mail})
        if registration.was_verified(pk):
            return Response({"id": str(pk), "verified": True, "mail": None})
        raise exceptions.NotFound


class VerificationView(PublicView):
    """Verification of an address."""

    throttle_classes = [throttles.VerificationThrottle]

    @extend_schema(
        summary="Verify an address",
        request=serializers.VerificationSerializer,
        responses={
            200: serializers.VerifiedSerializer,
            400: problem("`invalid_key`, `invalid_code`, or `invalid` if there is neither."),
        },
    )
    def post(self, request: Request) -> Response:
        """Verify the address that key or code was mailed to.

        A repetition with the same key changes nothing. A code holds for an hour, five attempts and
        one use.
        """
        data = validated(serializers.VerificationSerializer(data=request.data))
        try:
            if "key" in data:
                user = verification.verify(data["key"])
            else:
                user = verification.verify_by_code(data["registration"], data["code"])
        except InvalidKeyError as error:
            raise InvalidKey from error
        except InvalidCodeError as error:
            raise InvalidCode from error
        return Response({"email": user.email, "verified": True})


class ResendView(PublicView):
    """A fresh verification mail."""

    throttle_classes = [throttles.RegistrationThrottle]

    @extend_schema(
        summary="Send the verification mail again",
        request=serializers.EmailSerializer,
        responses={202: OpenApiResponse(serializers.AcceptedSerializer, "Accepted.")},
    )
    def post(self, request: Request) -> Response:
        """Send a new link. The answer is the same for every address."""
        email = validated(serializers.EmailSerializer(data=request.data))["email"]
        with limited():
            registration.resend(email, client_network(request))
        return Response({"email": email, "detail": RESENT}, status.HTTP_202_ACCEPTED)


@extend_schema(summary="Show who you are")
class MeView(generics.RetrieveAPIView[User]):
    """The user whose token this is."""

    serializer_class = serializers.UserSerializer

    def get_queryset(self) -> QuerySet[User]:
        """Users, annotated with whether their address is verified."""
        return User.objects.annotate(email_verified=has_verified_address())

    def get_object(self) -> User:
        """Return the user who asks."""
        return self.get_queryset().get(pk=cast("User", self.request.user).pk)
