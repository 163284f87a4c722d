"""What is measured of Warren alone."""

import time
from itertools import cycle, islice
from statistics import quantiles
from typing import Any

from tests.support.http_load import request, send
from tests.support.polling import poll
from tests.support.smtp_faults import slow

from . import measures
from .systems import Warren

SLOW_MAIL_SERVER = slow(2.0)
COLUMNS = "SELECT column_name FROM information_schema.columns WHERE table_name = 'jobs_job'"
OWN = {"id", "created_at", "state", "finished_at", "idempotency_key"}  # what is not copied
MIXED = [Warren.body] * 9 + [b'{"computation": "nap", "arguments": {"seconds": 0.05}}']
IN_BULK = 500  # jobs of one request
VACUUMING = "SELECT 1 FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'"
ROWS = 1_000_000
WAITING = 100_000
# Copies of a job that has ended, as if it had been asked for again and again for a month.
MILLION = """
    INSERT INTO jobs_job ({columns}, id, created_at, state, finished_at)
    SELECT {columns}, gen_random_uuid(), now() - number * interval '2.5 seconds', state, now()
    FROM (SELECT * FROM jobs_job WHERE state = 'succeeded' LIMIT 1) AS one,
        generate_series(1, {rows}) AS number
"""
QUEUE = """
    WITH waiting AS (
        INSERT INTO jobs_job ({columns}, id, created_at, state)
        SELECT {columns}, gen_random_uuid(), now(), 'queued'
        FROM (SELECT * FROM jobs_job WHERE state = 'succeeded' LIMIT 1) AS one,
            generate_series(1, {rows})
        RETURNING id
    )
    INSERT INTO messaging_outboxmessage (
        task_id, exchange, routing_key, headers, properties, body, mandatory, due_at, refusals,
        last_refusal
    )
    SELECT id, 'warren.tasks', 'compute.run', '{{}}', '{{}}', '', true, now() + interval '1 day', 0,
        ''
    FROM waiting
"""


def bulk(warren: Warren, jobs: int) -> float:
    """Jobs accepted in a second while each request submits many; then they are done."""
    finish = warren.done() + jobs
    body = b'{"jobs": [' + b", ".join([warren.body] * IN_BULK) + b"]}"
    requests = [
        request("POST", f"{warren.path}/batch", warren.port, body, headers)
        for headers in warren.headers
    ]
    warren.hold()
    answered = send(warren.port, islice(cycle(requests), jobs // IN_BULK), measures.CONCURRENCY)
    measures.accepted(answered)
    warren.go_on()
    measures.await_done(warren, finish)
    return IN_BULK * answered.rate


def registrations(warren: Warren, count: int) -> dict[str, dict[str, float]]:
    """Milliseconds of a registration while mails leave at once, slowly, and not at all."""
    smtp = warren.stack.smtp
    found = {"instant": _registrations(warren, count)}
    smtp.disturb(SLOW_MAIL_SERVER)
    found["slow"] = _registrations(warren, count)
    smtp.calm()
    smtp.shut()
    found["dead"] = _registrations(warren, count)
    smtp.open()
    _await_mails(warren)
    return found


def publishing(warren: Warren, jobs: int) -> float:
    """Messages in a second that the relay publishes, from the first that has left its outbox."""
    stack, left = warren.stack, "SELECT count(*) AS count FROM messaging_outboxmessage"
    finish = warren.done() + jobs
    stack.compute.stop()
    warren.hold()
    measures.submit(warren, jobs)

    def waiting() -> int:
        return int(stack.rows(left)[0]["count"])

    stack.relay.launch()
    first = poll(waiting, lambda count: count < jobs, what="message", meanwhile=measures.moment)
    began = time.perf_counter()
    poll(waiting, lambda count: not count, what="end of the outbox", meanwhile=measures.moment)
    seconds = time.perf_counter() - began
    stack.compute.start()
    measures.await_done(warren, finish)
    return first / seconds


def scaling(warren: Warren, jobs: int) -> dict[str, float]:
    """Jobs in a second of a backlog, with more workers and relays, and of mixed lengths."""
    stack = warren.stack
    workers = [stack.compute.twin(str(number)) for number in range(2, 5)]
    found = {"1 worker, 1 relay": measures.drain(warren, jobs)["done"]}
    workers[0].start()
    found["2 workers"] = measures.drain(warren, jobs)["done"]
    for worker in workers[1:]:
        worker.start()
    found["4 workers"] = measures.drain(warren, jobs)["done"]
    for worker in workers:
        worker.stop()
    warren.more_relays.append(stack.relay.twin())
    found["2 relays"] = measures.drain(warren, jobs)["done"]
    warren.more_relays.pop().stop()
    found["jobs of mixed length"] = _mixed(warren, jobs // len(MIXED))
    return found


def _mixed(warren: Warren, requests: int) -> float:
    """Jobs in a second, of which one in ten takes 50 ms."""
    finish = warren.done() + requests * len(MIXED)
    body = b'{"jobs": [' + b", ".join(MIXED) + b"]}"
    sent = request("POST", f"{warren.path}/batch", warren.port, body, warren.headers[0])
    began = time.perf_counter()
    measures.accepted(send(warren.port, islice(cycle([sent]), requests), measures.CONCURRENCY))
    measures.await_done(warren, finish)
    return requests * len(MIXED) / (time.perf_counter() - began)


def growth(warren: Warren, jobs: int) -> dict[str, Any]:
    """Compare an empty installation with one that has seen, or holds, a lot."""
    measured = {"empty": measures.throughput(warren, jobs)}
    _fill(warren, QUEUE, WAITING)
    measured[f"{WAITING} waiting"] = measures.throughput(warren, jobs)
    warren.stack.execute("DELETE FROM messaging_outboxmessage WHERE due_at > now()")
    warren.stack.execute("DELETE FROM jobs_job WHERE state = 'queued'")
    _fill(warren, MILLION, ROWS)
    measured[f"{ROWS} rows"] = measures.throughput(warren, jobs)
    return measured


def _registrations(warren: Warren, count: int) -> dict[str, float]:
    answered = measures.registrations(warren.port, count)
    centiles = quantiles(answered.latencies, n=100)
    return {"p50": 1000 * centiles[49], "p99": 1000 * centiles[98]}


def _await_mails(warren: Warren) -> None:
    unsent = "SELECT id FROM mail_email WHERE state IN ('queued', 'retrying', 'sending')"
    poll(lambda: not warren.stack.rows(unsent), what="end of all mails", deadline=300)


def _fill(warren: Warren, statement: str, rows: int) -> None:
    names = {row["column_name"] for row in warren.stack.rows(COLUMNS)} - OWN
    warren.stack.execute(statement.format(columns=", ".join(sorted(names)), rows=rows))
    for table in ("jobs_job", "messaging_outboxmessage"):  # as it is some time after that
        warren.stack.execute(f"VACUUM ANALYZE {table}")
    poll(lambda: not warren.stack.rows(VACUUMING), what="end of vacuuming", deadline=300)
