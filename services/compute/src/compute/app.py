"""The compute worker's Celery application: ``celery -A compute.app worker``.

It needs the prefork pool, because its limits hold for a process. Celery's command reads the
environment before this module can change it, so start it with REMAP_SIGTERM=SIGQUIT.
``python -m compute`` sets that by itself.
"""

import os

from compute.catalogue import Catalogue
from compute.config import Settings
from contracts.events import CATALOGUE_ROUTING_KEY
from runtime.environment import Environment
from worker.app import create_app
from worker.reporting import teller

KIB_PER_MIB = 1024
OWN_MEMORY = 256  # MiB that a pool process may take on top of a run's memory limit

# The pool already keeps every core busy. Threads of numpy's linear algebra would only compete for
# them, and their buffers count against the memory limit.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

settings = Settings.read(Environment())
catalogue = Catalogue.discover(settings.modules, settings.limits)

app = create_app(
    "compute",
    settings.worker,
    pool="prefork",
    include=["compute.tasks"],
    # RLIMIT_DATA does not count memory that processes share. A pool process that has grown beyond
    # this limit is replaced after its run.
    worker_max_memory_per_child=(catalogue.largest_memory_limit + OWN_MEMORY) * KIB_PER_MIB,
    # For a request without limits of its own. Usually LimitedRequest has set them.
    task_soft_time_limit=settings.limits.soft_time_limit,
    task_time_limit=settings.limits.time_limit,
)
app.steps["consumer"].add(
    teller(CATALOGUE_ROUTING_KEY, settings.announce_interval, catalogue.announcement)
)
