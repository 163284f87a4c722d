"""Each setting is explained on the page, named in `.env.example`, and reaches the containers."""

import os
import re
import sys

import yaml

from local import env_file

from .support.process import CHECKOUT
from .support.stack import run

# Of the private servers, which containers have not; and what Compose reads itself.
NOT_FOR_CONTAINERS = ("RABBITMQ_", "POSTGRES_", "SMTP_PORT", "FLOWER_P", "FLOWER_USER", "COMPOSE_")
# The images or docker-compose.yml say these once and for all; of the last, each worker has its own.
FIXED = {
    "WEB_HOST", "TRUSTED_PROXIES", "LOG_FORMAT", "DJANGO_DEBUG", "FLOWER_ADDRESS",
    "FLOWER_URL_PREFIX", "CONCURRENCY",
}  # fmt: skip
# The composed addresses, and what the images set.
NOT_FOR_PEOPLE = {"LIVENESS_FILE", "RABBITMQ_MANAGEMENT_URL"}
# In development, or where there is no one default.
OTHERWISE = {
    "CONCURRENCY", "COMPUTE_MODULES", "DKIM_SELECTOR", "EXTRA_APPS", "FLOWER_URL_PREFIX",
    "LOG_FORMAT", "THROTTLE_REGISTRATION", "THROTTLE_SIGN_IN", "THROTTLE_SUBMISSION",
    "THROTTLE_VERIFICATION", "WARREN_ENVIRONMENT",
}  # fmt: skip


def test_compose_passes_every_setting_on() -> None:
    text = (CHECKOUT / "docker-compose.yml").read_text()
    services = yaml.safe_load(text)["services"].values()
    passed = {name for service in services for name in service.get("environment", {})}
    passed |= {name.removesuffix("_FILE") for name in passed}
    passed |= set(re.findall(r"\$\{([A-Z_]+)", text))
    settings = env_file.known(CHECKOUT)
    wanted = {name for name in settings if not name.startswith(NOT_FOR_CONTAINERS)}
    assert settings >= FIXED
    assert wanted - passed - FIXED == set()


def test_the_page_says_what_the_processes_read() -> None:
    program = "import runpy; print(runpy.run_path('infra/settings_page.py')['page'](), end='')"
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
    made = run([sys.executable, "-c", program], environment, check=True)
    assert made.stdout == (CHECKOUT / "docs/settings.md").read_text(), "see its first line"


def test_the_example_names_what_has_a_default_with_that_default() -> None:
    page = (CHECKOUT / "docs/settings.md").read_text()
    defaults = dict(re.findall(r"^\| `(\w+)` \| `?([^|`]*)`? \|", page, re.MULTILINE))
    example = (CHECKOUT / ".env.example").read_text()
    named = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", example, re.MULTILINE))
    optional = {name for name, default in defaults.items() if default != "required"}
    assert optional - named.keys() == NOT_FOR_PEOPLE
    differing = {name for name in optional & named.keys() if named[name] != defaults[name]}
    assert differing == OTHERWISE
