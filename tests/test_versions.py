"""What is named in several files is the same in each."""

import re

from .process import CHECKOUT

FILES = ("Makefile", "docker-compose.yml", "infra/flower/Dockerfile")
SERVICES = ("web", "mailer", "compute")


def test_one_version_of_uv_makes_every_environment() -> None:
    files = (*FILES, *(f"services/{service}/Dockerfile" for service in SERVICES))
    found = {
        name: re.findall(r"^\s*(?:ARG )?UV_VERSION *[:=]+ *(\S+)", text, re.MULTILINE)
        for name, text in ((name, (CHECKOUT / name).read_text()) for name in files)
    }

    assert len({version for versions in found.values() for version in versions}) == 1, found
    assert all(found.values()), found
