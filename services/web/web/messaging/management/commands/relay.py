"""``manage.py relay``: publish the outbox to RabbitMQ."""

from runtime.liveness import LivenessFile
from web.messaging.letters import dead_letters
from web.messaging.outbox import relay
from web.messaging.processes.command import LongRunningCommand
from web.messaging.processes.lifecycle import StopSignal


class Command(LongRunningCommand):
    """The relay."""

    help = "Publish the outbox to RabbitMQ until told to stop. Several may run side by side."
    process = "relay"

    def session(self, stop: StopSignal, liveness: LivenessFile) -> None:
        """Publish."""
        relay.relay(stop, liveness, dead_letters.park)
