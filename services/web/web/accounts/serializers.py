"""The bodies of the API of accounts."""

from typing import Any

from allauth.account.adapter import get_adapter
from django.core.exceptions import ValidationError as DjangoValidationError
from django.core.validators import EmailValidator
from rest_framework import serializers
from rest_framework.fields import get_error_detail

from contracts.addresses import LONGEST, InvalidAddressError, canonical
from web.accounts.models import User
from web.parsing import RequestSerializer

LONGEST_PASSWORD = 256  # characters: hashing a megabyte would be an attack


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
    password = PasswordField(help_text="10 characters or more, not a common one.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check the password against Django's validators, which also look at the address."""
        try:
            get_adapter().clean_password(attrs["password"], User(email=attrs["email"]))
        except DjangoValidationError as error:
            raise serializers.ValidationError({"password": get_error_detail(error)}) from error
        return attrs


class EmailSerializer(RequestSerializer):
    """An address."""

    email = AddressField()


class AcceptedSerializer(serializers.Serializer[Any]):
    """The same answer for every address: a mail is on its way."""

    email = serializers.EmailField()
    detail = serializers.CharField()


class KeySerializer(RequestSerializer):
    """The key of a verification mail."""

    key = serializers.CharField(max_length=200, write_only=True)


class VerifiedSerializer(serializers.Serializer[Any]):
    """The address that is verified now."""

    email = serializers.EmailField()
    verified = serializers.BooleanField()


class TokensSerializer(serializers.Serializer[Any]):
    """``access`` goes into ``Authorization: Bearer …``; ``refresh`` gets the next one."""

    access = serializers.CharField()
    refresh = serializers.CharField()


class RefreshSerializer(RequestSerializer):
    """A refresh token."""

    refresh = serializers.CharField(max_length=2000)


class AccessSerializer(serializers.Serializer[Any]):
    """The next access token."""

    access = serializers.CharField()


class UserSerializer(serializers.ModelSerializer[User]):
    """The user who asks."""

    email_verified = serializers.BooleanField(read_only=True)

    class Meta:
        model = User
        fields = ["id", "email", "email_verified", "created_at"]
        read_only_fields = fields
