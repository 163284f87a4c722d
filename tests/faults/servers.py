"""The servers that a stage stands on, made for it and gone afterwards."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from local.errors import LocalError
from local.servers import packages
from local.servers.broker import Broker
from local.servers.database import Database
from tests.faults.catalogue import NotPossibleError
from tests.faults.stage import PACKAGES, Stage
from tests.support.installation import throwaway_settings
from tests.support.process import CHECKOUT
from tests.support.small_disk import small_disk

MEGABYTES = 400
SMALL = {"max_wal_size": "64MB", "min_wal_size": "32MB"}


@contextmanager
def running_stage(logs: Path, seed: int, *, on_small_disk: bool = False) -> Iterator[Stage]:
    """Run all of Warren on servers of its own; logs go to a new folder in ``logs``.

    Raises NotPossibleError if a small disk is wanted and cannot be had.
    """
    settings = throwaway_settings(CHECKOUT)
    directory = logs / time.strftime("%Y-%m-%d-%H%M%S")
    directory.mkdir(parents=True)
    broker = Broker(settings.broker, packages.rabbitmq(PACKAGES, print))
    postgresql = packages.postgresql(PACKAGES, print)
    options = SMALL if on_small_disk else {}
    database = Database(replace(settings.database, options=options), postgresql)
    with ExitStack() as stack:
        disk = None
        if on_small_disk:
            try:
                disk = stack.enter_context(small_disk(database.data, MEGABYTES))
            except LocalError as error:
                raise NotPossibleError(str(error)) from error
        for server in (broker, database):
            stack.callback(server.stop)
            server.start()
        stage = Stage(settings, broker, database, directory, seed)
        stage.disk = disk
        stack.callback(stage.stop)
        stage.start()
        yield stage
