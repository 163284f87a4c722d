"""All checks, in the order in which an operator reads them: causes before consequences."""

from web.ops.doctor import (
    broker,
    catalogue,
    configuration,
    database,
    dead_letters,
    outbox,
    processes,
    queues,
    work,
    workers,
)
from web.ops.doctor.examination import Check, Server

CHECKS = (
    Check("settings", configuration.look_at_settings),
    Check("database", database.look_at_server, Server.DATABASE),
    Check("sessions", database.look_at_sessions, Server.DATABASE),
    Check("clock", database.look_at_clock, Server.DATABASE),
    Check("migrations", database.look_at_migrations, Server.DATABASE),
    Check("broker", broker.look_at_access, Server.BROKER),
    Check("alarms", broker.look_at_alarms, Server.BROKER),
    Check("topology", broker.look_at_topology, Server.BROKER),
    Check("queues", queues.look_at_queues, Server.BROKER),
    Check("processes", processes.look_at_processes, Server.DATABASE),
    Check("outbox", outbox.look_at_outbox, Server.DATABASE),
    Check("workers", workers.look_at_workers, Server.DATABASE),
    Check("jobs", work.look_at_jobs, Server.DATABASE),
    Check("mails", work.look_at_mails, Server.DATABASE),
    Check("tasks", work.look_at_tasks, Server.DATABASE),
    Check("catalogue", catalogue.look_at_catalogue, Server.DATABASE),
    Check("dead-letters", dead_letters.look_at_dead_letters, Server.DATABASE),
)
