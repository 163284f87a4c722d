"""JSON that comes out of the database as it went in."""

from typing import Any

from django.db import models
from psycopg.types.json import Json


class ExactJSONField(models.JSONField):
    """Keep JSON in PostgreSQL's type ``json``, which is text.

    ``jsonb`` makes a decimal of each number, so that 1e23 comes back as an integer, and refuses NUL
    in strings. The database cannot compare or search what is in such a column.
    Source: https://www.postgresql.org/docs/current/datatype-json.html
    """

    def db_type(self, connection: Any) -> str:
        """Name the type of the column."""
        return "json"

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        """Adapt a value; None is NULL."""
        return None if value is None else Json(value)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """Return the value as psycopg has decoded it."""
        return value
