"""E-mail addresses as Django's models take them, by the rule of the contracts."""

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import models

from contracts.addresses import InvalidAddressError, canonical


def validate_address(text: str) -> None:
    """Raise Django's ValidationError for what is no address."""
    try:
        canonical(text)
    except InvalidAddressError as error:
        raise DjangoValidationError(str(error), code="invalid") from error


def spelling(text: str) -> str:
    """Return an address in its one spelling; what is no address, and so nobody's, as it is."""
    try:
        return canonical(text)
    except InvalidAddressError:
        return text


class AddressColumn(models.EmailField):  # type: ignore[type-arg]
    """An address in its one spelling."""

    default_validators = [validate_address]
