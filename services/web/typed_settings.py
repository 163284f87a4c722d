"""The settings for mypy's Django plugin, so that types can be checked without an environment."""

import os
import sys
from pathlib import Path

from example_environment import complete_environment

complete_environment()
os.environ["EXTRA_APPS"] = "notes"  # the example app
sys.path.append(str(Path(__file__).parents[2] / "examples"))

from web.settings import *  # noqa: E402, F403 -- the plugin looks for names in this very module
