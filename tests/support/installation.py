"""An installation for one run of tests: ports, passwords and data of its own, gone afterwards."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from local import env_file
from local.ports import free_ports
from local.settings import PORTS, Settings


@cache
def installation_of_this_process(checkout: Path) -> Settings:
    """Return the same one each time."""
    return throwaway_settings(checkout)


def throwaway_settings(checkout: Path) -> Settings:
    """Make an .env of .env.example, as a fresh checkout has it, in a folder that does not stay."""
    root = Path(tempfile.mkdtemp(prefix="warren-tests-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    shutil.copy(checkout / ".env.example", root)
    ports = (str(port) for port in free_ports(len(PORTS)))
    # Apps that somebody has added are a part of what is tested.
    changes = {"EXTRA_APPS": env_file.extra_apps(checkout)}
    return Settings.load(root, changes | dict(zip(PORTS, ports, strict=True)))
