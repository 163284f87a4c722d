"""All checks, in the order in which an operator reads them: what others need comes first."""

from web.ops.doctor import broker, catalogue, configuration, database, dead_letters, outbox, queues
from web.ops.doctor.examination import Check, Server

DATABASE, BROKER = (Server.DATABASE,), (Server.BROKER,)
CHECKS = (
    Check("settings", configuration.look_at_settings),
    Check("database", database.look_at_server, DATABASE),
    Check("sessions", database.look_at_sessions, DATABASE),
    Check("clock", database.look_at_clock, DATABASE),
    Check("migrations", database.look_at_migrations, DATABASE),
    Check("broker", broker.look_at_access, BROKER),
    Check("alarms", broker.look_at_alarms, BROKER),
    Check("topology", broker.look_at_topology, BROKER),
    Check("queues", queues.look_at_queues, BROKER),
    Check("relay", outbox.look_at_relay, (Server.DATABASE, Server.BROKER)),
    Check("outbox", outbox.look_at_outbox, DATABASE),
    Check("catalogue", catalogue.look_at_catalogue, DATABASE),
    Check("dead-letters", dead_letters.look_at_dead_letters, DATABASE),
)
