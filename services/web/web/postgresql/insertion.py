"""New rows where Django's own INSERT would be one of several statements, or a very long one."""

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Model
from django.db.models.expressions import DatabaseDefault


class Insertion(NamedTuple):
    """An INSERT of one row for each row of a source, and the values of its parameters."""

    statement: str
    values: dict[str, Any]


class Blank:
    """Rows of a model that are alike but for some fields: the others are worked out only once."""

    def __init__(self, row: Model, differing: Iterable[str]) -> None:
        """Look at a row, which is not stored itself, and the names of the fields that differ.

        What the row leaves to the database, the database fills in.
        """
        names = set(differing)
        self._table = row._meta.db_table
        self._differing = [field for field in row._meta.concrete_fields if field.attname in names]
        self._same = _values(row, without=names)

    def insertion(self, values: Mapping[str, Any], source: str) -> Insertion:
        """Write the INSERT of a row.

        Args:
            values: of the fields that differ, by the field's name.
            source: what stands behind FROM. The row is stored if that yields one.
        """
        prepared = self._same | {
            str(field.column): field.get_db_prep_save(values[field.attname], connection)
            for field in self._differing
        }
        places = ", ".join(f"%({self._table}.{column})s" for column in prepared)
        statement = (
            f"INSERT INTO {self._table} ({', '.join(prepared)}) SELECT {places} FROM {source}"  # noqa: S608 -- names of the model
        )
        named = {f"{self._table}.{column}": value for column, value in prepared.items()}
        return Insertion(statement, named)

    def store(self, values: Mapping[str, Sequence[Any]]) -> None:
        """Store rows by one COPY, which costs a third of an INSERT with arrays.

        Source: https://www.postgresql.org/docs/current/populate.html

        Args:
            values: of all rows, in their order, by the name of the field.
        """
        database = transaction.get_connection()
        columns = [*self._same, *(str(field.column) for field in self._differing)]
        differing = [
            [field.get_db_prep_save(value, database) for value in values[field.attname]]
            for field in self._differing
        ]
        beginning = tuple(self._same.values())
        statement = f"COPY {self._table} ({', '.join(columns)}) FROM STDIN"
        with (
            database.wrap_database_errors,
            database.cursor() as cursor,
            cursor.copy(statement) as copy,
        ):
            for ending in zip(*differing, strict=True):
                copy.write_row(beginning + ending)


def _values(row: Model, without: Container[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in row._meta.concrete_fields:
        if field.attname in without:
            continue
        value = field.pre_save(row, add=True)
        by_database = isinstance(value, DatabaseDefault) or (field.primary_key and not value)
        if not by_database:
            values[str(field.column)] = field.get_db_prep_save(value, connection)
    return values
