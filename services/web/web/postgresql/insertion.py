"""New rows where Django's own INSERT would be one of several statements, or a very long one."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Model
from django.db.models.expressions import DatabaseDefault


class Insertion(NamedTuple):
    """An INSERT of one row for each row of a source, and the values of its parameters."""

    statement: str
    values: dict[str, Any]


def insertion(row: Model, source: str) -> Insertion:
    """Write the INSERT of a row that is not stored yet.

    Args:
        row: whose columns are given, but for those that the database fills in.
        source: what stands behind FROM. The row is stored if that yields one.
    """
    table = row._meta.db_table
    values = _values(row)
    places = ", ".join(f"%({table}.{column})s" for column in values)
    statement = f"INSERT INTO {table} ({', '.join(values)}) SELECT {places} FROM {source}"  # noqa: S608 -- names of the model
    return Insertion(statement, {f"{table}.{column}": value for column, value in values.items()})


def insert_like(row: Model, fields: Mapping[str, Sequence[Any]]) -> None:
    """Store rows that are like one, which is not stored itself, but for some fields.

    It is one COPY, which costs a third of an INSERT with arrays.
    Source: https://www.postgresql.org/docs/current/populate.html

    Args:
        row: what it leaves to the database, the database fills in for all.
        fields: the values of all rows, in their order, by the name of the field.
    """
    database = transaction.get_connection()
    same, differing = _values(row), {}
    for field in row._meta.concrete_fields:
        if field.name in fields:
            column = str(field.column)
            same.pop(column, None)
            differing[column] = [
                field.get_db_prep_save(value, database) for value in fields[field.name]
            ]
    beginning = tuple(same.values())
    statement = f"COPY {row._meta.db_table} ({', '.join([*same, *differing])}) FROM STDIN"
    with (
        database.wrap_database_errors,
        database.cursor() as cursor,
        cursor.copy(statement) as copy,
    ):
        for values in zip(*differing.values(), strict=True):
            copy.write_row(beginning + values)


def _values(row: Model) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in row._meta.concrete_fields:
        value = field.pre_save(row, add=True)
        by_database = isinstance(value, DatabaseDefault) or (field.primary_key and not value)
        if not by_database:
            values[str(field.column)] = field.get_db_prep_save(value, connection)
    return values
