"""The bodies of the API of accounts."""

from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.core.validators import EmailValidator
from rest_framework import serializers
from rest_framework.fields import get_error_detail

from contracts.addresses import LONGEST, InvalidAddressError, canonical
from web.accounts import passwords
from web.accounts.models import Session, User
from web.mail.models import Email
from web.parsing import RequestSerializer

STRONG_ENOUGH = "10 characters or more, not a common one."
LONGEST_PASSWORD = 256  # characters: hashing a megabyte would be an attack


def check_password(password: str, user: User) -> None:
    """Raise DRF's ValidationError for a password that is too weak for an account."""
    try:
        passwords.validate(password, user)
    except DjangoValidationError as error:
        raise serializers.ValidationError({"password": get_error_detail(error)}) from error


class PasswordField(serializers.CharField):
    """A password, taken as it is and never given back."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            max_length=LONGEST_PASSWORD,
            trim_whitespace=False,
            write_only=True,
            style={"input_type": "password"},
            **kwargs,
        )


class AddressField(serializers.EmailField):
    """An address in any spelling, which becomes its one spelling."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=LONGEST, trim_whitespace=False, **kwargs)
        self.validators = [each for each in self.validators if not isinstance(each, EmailValidator)]

    def to_internal_value(self, data: Any) -> str:
        """Take an address. Raises ValidationError."""
        text = super().to_internal_value(data)
        if len(text) > LONGEST:
            return text  # the validator of the length refuses it
        try:
            return canonical(text)
        except InvalidAddressError as error:
            raise serializers.ValidationError(str(error), code="invalid") from error


class CredentialsSerializer(RequestSerializer):
    """Address and password."""

    email = serializers.CharField(max_length=254)
    password = PasswordField()


class RegistrationSerializer(RequestSerializer):
    """Address and password of a new account."""

    email = AddressField()
    password = PasswordField(help_text=STRONG_ENOUGH)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check the password against Django's validators, which also look at the address."""
        check_password(attrs["password"], User(email=attrs["email"]))
        return attrs


class NewPasswordSerializer(RequestSerializer):
    """A new password, with the key from the mail."""

    key = serializers.CharField(max_length=200, write_only=True)
    password = PasswordField(help_text=STRONG_ENOUGH)


class ChangedPasswordSerializer(RequestSerializer):
    """A new password, with the one until now."""

    current_password = PasswordField()
    password = PasswordField(help_text=STRONG_ENOUGH)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check the new password as that of a registration."""
        check_password(attrs["password"], self.context["user"])
        return attrs


class EmailSerializer(RequestSerializer):
    """An address."""

    email = AddressField()


class AcceptedSerializer(serializers.Serializer[Any]):
    """The same answer for every address: a mail is on its way."""

    email = serializers.EmailField()
    detail = serializers.CharField()


class RegisteredSerializer(AcceptedSerializer):
    """The same for a registration, with the id by which it can be watched."""

    registration = serializers.UUIDField()


class WayOfMailSerializer(serializers.Serializer[Any]):
    """Where a mail is, in words for people."""

    state = serializers.ChoiceField(Email.State.choices)
    detail = serializers.CharField()
    next_attempt_at = serializers.DateTimeField(allow_null=True)


class RegistrationStateSerializer(serializers.Serializer[Any]):
    """How far a registration is. ``mail`` is null once the address is verified."""

    id = serializers.UUIDField()
    verified = serializers.BooleanField()
    mail = WayOfMailSerializer(allow_null=True)


class KeySerializer(RequestSerializer):
    """The key of a verification mail."""

    key = serializers.CharField(max_length=200, write_only=True)


class VerificationSerializer(RequestSerializer):
    """The key of a verification mail, or its code together with the registration's id."""

    key = serializers.CharField(max_length=200, write_only=True, required=False)
    registration = serializers.UUIDField(write_only=True, required=False)
    code = serializers.RegexField(
        r"^[0-9]{6}\Z", write_only=True, required=False, help_text="Six digits."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Ask for one of the two."""
        if set(attrs) in ({"key"}, {"registration", "code"}):
            return attrs
        raise serializers.ValidationError(
            {"key": "Either the key is needed, or registration and code."}, code="required"
        )


class VerifiedSerializer(serializers.Serializer[Any]):
    """The address that is verified now."""

    email = serializers.EmailField()
    verified = serializers.BooleanField()


class TokensSerializer(serializers.Serializer[Any]):
    """``access`` goes into ``Authorization: Bearer …``; ``refresh`` gets the next two, once."""

    access = serializers.CharField()
    refresh = serializers.CharField()


class RefreshSerializer(RequestSerializer):
    """A refresh token."""

    refresh = serializers.CharField(max_length=2000)


class SessionSerializer(serializers.ModelSerializer[Session]):
    """A session: what one sign-in has opened."""

    current = serializers.SerializerMethodField(help_text="Whether this request belongs to it.")
    agent = serializers.CharField(help_text="As the client called itself when it signed in.")
    network = serializers.CharField(help_text="From which it was used last.")

    class Meta:
        model = Session
        fields = ["id", "current", "created_at", "used_at", "expires_at", "network", "agent"]
        read_only_fields = fields

    def get_current(self, session: Session) -> bool:
        """Whether the request that asks belongs to this session."""
        return bool(session.pk == self.context.get("session"))


class UserSerializer(serializers.ModelSerializer[User]):
    """The user who asks."""

    email_verified = serializers.BooleanField(read_only=True)

    class Meta:
        model = User
        fields = ["id", "email", "email_verified", "created_at"]
        read_only_fields = fields
