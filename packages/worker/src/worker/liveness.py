"""A worker shows that it is alive, but only while it consumes."""

from typing import Any

from celery import bootsteps

from runtime.liveness import LivenessFile


class Liveness(bootsteps.StartStopStep):
    """Touch the liveness file from the consumer's timer, and only while consuming.

    A worker that has lost its connection stops touching it, although its process runs.
    """

    requires = ("celery.worker.components:Timer",)

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        self._file = LivenessFile(worker.app.conf.liveness_file)
        super().__init__(worker, **kwargs)

    def start(self, worker: Any) -> None:
        """Touch the file from now on, each ``report_interval`` seconds."""
        interval = worker.app.conf.report_interval
        self._beats = worker.timer.call_repeatedly(interval, self._beat, (worker,), priority=10)

    def stop(self, worker: Any) -> None:
        """Remove the file: a stopped worker is not alive, even while its pool still ends."""
        self._beats.cancel()
        self._file.remove()

    def terminate(self, worker: Any) -> None:
        """Do the same in a cold shutdown, in which Celery does not call ``stop``."""
        self.stop(worker)

    def _beat(self, worker: Any) -> None:
        connection = getattr(worker.consumer, "connection", None)
        if connection is not None:
            worker.consumer.listen()
            if connection.connected:
                self._file.touch()
