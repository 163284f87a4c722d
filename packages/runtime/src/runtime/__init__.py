"""Code that every process needs: settings, logs, liveness, and the connection to the broker."""

import os

# With this, the processes of a worker's pool ignore SIGTERM. A signal to their whole group then
# stops only their parent. It lets short tasks finish and has long ones sent again
# (``worker.stopping``). Celery and billiard read the variable when they are first imported.
os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")
