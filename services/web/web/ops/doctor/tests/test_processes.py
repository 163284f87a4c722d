"""Which processes there are."""

from contextlib import ExitStack

import psycopg
import pytest
from django.db import connection

from web.ops.doctor.finding import Level
from web.ops.doctor.processes import look_at_processes

# Not in a transaction, in which PostgreSQL shows the same connections again and again.
pytestmark = pytest.mark.django_db(transaction=True)


def test_processes_are_counted_by_the_names_of_their_connections() -> None:
    assert {finding.level for finding in look_at_processes()} == {Level.PROBLEM}
    parameters = connection.get_connection_params()
    names = ("relay 1@host", "relay 1@host", "relay 2@host", "collect 3@host", "reconcile 4@host")
    with ExitStack() as stack:
        for name in names:
            named = parameters | {"application_name": f"warren {name}"}
            stack.enter_context(psycopg.connect(**named))
        (finding,) = look_at_processes()
    assert finding.found == "connected to the database: relay 2, collector 1, reconciler 1"


def test_a_process_that_is_missing_is_named() -> None:
    found = list(look_at_processes())
    assert found[0].found == "there is no relay: nothing leaves the outbox"
    assert "docker compose up -d relay" in found[0].way_out
