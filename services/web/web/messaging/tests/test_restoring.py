"""The reconciler declares what somebody has deleted, and publishes again what was in it."""

from contextlib import ExitStack

import pytest
from django.db import OperationalError, connection
from kombu import Connection
from pytest_django import Settings

from contracts import topology
from web.mail.tests.factories import make_mail
from web.messaging.models import OutboxMessage
from web.messaging.tests.staffing import (
    consume,
    lost_job,
    opened,
    published_again,
    put,
    reconciler,
    report,
)

pytestmark = pytest.mark.django_db


def test_a_deleted_queue_is_declared_and_what_was_in_it_published_again_at_once(
    amqp: Connection, settings: Settings
) -> None:
    settings.RECONCILE_AFTER = 3600.0
    waiting, running = lost_job(), lost_job(state="running")
    make_mail()  # its queue is there all the time
    with opened(amqp) as channel:
        channel.queue_delete("compute")
    report("compute")
    watching = reconciler()
    watching.look(amqp)
    assert not topology.compare(amqp).problems
    with ExitStack() as consuming:
        consume(consuming, amqp, "compute")
        watching.look(amqp)
        assert published_again() == {}, "no worker has said since then what it holds"
        report("compute", running.id)
        watching.look(amqp)
    assert list(published_again()) == [waiting.id]


def test_two_reconcilers_publish_what_was_in_a_deleted_queue_once(amqp: Connection) -> None:
    job = lost_job()
    both = [reconciler(), reconciler()]
    for each in both:
        with opened(amqp) as channel:
            channel.queue_delete("compute")
        each.look(amqp)
    with ExitStack() as consuming:
        consume(consuming, amqp, "compute")
        report("compute")
        both[0].look(amqp)
        assert list(published_again()) == [job.id]
        OutboxMessage.objects.all().delete()  # the relay has published it
        both[1].look(amqp)
    assert published_again() == {}


def spoil_outbox(statement: str) -> None:
    """Let PostgreSQL run a statement whenever a message is to be stored in the outbox."""
    with connection.cursor() as cursor:
        cursor.execute(f"""
            CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql
                AS $$ BEGIN {statement}; RETURN NEW; END $$;
            CREATE TRIGGER spoil BEFORE INSERT ON messaging_outboxmessage
                FOR EACH ROW EXECUTE FUNCTION spoil()
        """)


def test_what_was_in_a_deleted_queue_is_published_again_after_an_outage_of_the_database(
    amqp: Connection, settings: Settings
) -> None:
    settings.RECONCILE_AFTER = 3600.0
    job = lost_job()
    with opened(amqp) as channel:
        channel.queue_delete("compute")
    watching = reconciler()
    watching.look(amqp)
    with ExitStack() as consuming:
        consume(consuming, amqp, "compute")
        report("compute")
        spoil_outbox("RAISE EXCEPTION SQLSTATE '53100'")  # disk_full
        with pytest.raises(OperationalError):
            watching.look(amqp)
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION spoil CASCADE")
        watching.look(amqp)
        assert list(published_again()) == [job.id]
        OutboxMessage.objects.all().delete()  # the relay has published it
        watching.look(amqp)
    assert published_again() == {}


def test_a_reconciler_that_has_much_to_publish_again_keeps_its_connection(
    staffed: Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RECONCILE_AFTER = 0.0
    monkeypatch.setattr("web.messaging.lost.reconciliation.BATCH", 1)
    jobs = {lost_job().id for _ in range(5)}
    spoil_outbox("PERFORM pg_sleep(1.1)")
    with staffed.clone(heartbeat=2) as slow:  # far less than all of it takes
        reconciler().look(slow)
    assert published_again().keys() == jobs


def test_a_deleted_exchange_is_declared_and_bound_again(staffed: Connection) -> None:
    with opened(staffed) as channel:
        channel.exchange_delete("warren.results.compute")
    reconciler().look(staffed)
    assert not topology.compare(staffed).problems
    put(staffed, "warren.results.compute", "compute.run.started")
    with opened(staffed) as channel:
        assert channel.queue_declare("web.results", passive=True).message_count == 1


def test_a_deleted_binding_is_made_again(staffed: Connection) -> None:
    with opened(staffed) as channel:
        channel.queue_unbind("mailer", "warren.tasks", "mailer.#")
    reconciler().look(staffed)
    put(staffed, "warren.tasks", "mailer.send_email")
    with opened(staffed) as channel:
        assert channel.queue_declare("mailer", passive=True).message_count == 1


def test_what_differs_is_left_and_the_rest_declared(staffed: Connection) -> None:
    with opened(staffed) as channel:
        channel.exchange_delete("warren.results.compute")
        channel.exchange_declare(
            "warren.results.compute", "fanout", durable=True, auto_delete=False
        )
        channel.queue_delete("compute")
    reconciler().look(staffed)
    assert topology.compare(staffed).missing == []
    assert "warren.results.compute" in topology.compare(staffed).problems[0]
