"""What the services agree on: names, payloads, results, topology, one Celery configuration."""

import os

# SIGTERM lets short tasks finish and gives the long ones back to the queue, instead of waiting
# for them without end; the processes of a pool ignore it, so that a signal to their whole group
# stops only their parent. Celery and billiard read this when they are first imported, which the
# modules of this package do.
os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")
