"""The settings as mypy's Django plugin reads them: types can be checked without an environment."""

from example_environment import complete_environment

complete_environment()

from web.settings import *  # noqa: E402, F403 -- the plugin looks for names in this very module
