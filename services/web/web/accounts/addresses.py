"""The contracts' rule for e-mail addresses, in the forms that Django's models need."""

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import models

from contracts.addresses import InvalidAddressError, canonical


def validate_address(text: str) -> None:
    """Raise Django's ValidationError for text that is not a valid address."""
    try:
        canonical(text)
    except InvalidAddressError as error:
        raise DjangoValidationError(str(error), code="invalid") from error


def spelling(text: str) -> str:
    """Return an address in its one spelling, and text that is not a valid address unchanged."""
    try:
        return canonical(text)
    except InvalidAddressError:
        return text


class AddressColumn(models.EmailField):  # type: ignore[type-arg]
    """An address in its one spelling."""

    default_validators = [validate_address]
