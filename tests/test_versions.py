"""What is named in several files is the same in each."""

import re
import tomllib

from .support.process import CHECKOUT

DOCKERFILES = sorted(
    str(path.relative_to(CHECKOUT))
    for folder in ("services", "infra")
    for path in (CHECKOUT / folder).rglob("*Dockerfile")
)


def test_one_version_of_uv_makes_every_environment() -> None:
    files = ("Makefile", "docker-compose.yml", *DOCKERFILES)
    assert len(DOCKERFILES) >= 3
    found = {
        name: re.findall(r"^\s*(?:ARG )?UV_VERSION *[:=]+ *(\S+)", text, re.MULTILINE)
        for name, text in ((name, (CHECKOUT / name).read_text()) for name in files)
    }

    assert len({version for versions in found.values() for version in versions}) == 1, found
    assert all(found.values()), found


def test_every_stage_that_the_forge_calls_is_one_of_the_build_scripts() -> None:
    script = (CHECKOUT / ".ci/run").read_text()
    workflow = (CHECKOUT / ".github/workflows/checks.yml").read_text()
    stages = re.findall(r"^(\w+)\(\) \{$", script, re.MULTILINE)
    assert stages == ["lint", "test", "checkout", "faults", "containers"]
    assert re.findall(r"run: \.ci/run (\w+)$", workflow, re.MULTILINE) == stages


def test_the_images_name_the_version_of_the_code() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    for name in ("docker-compose.yml", *DOCKERFILES):
        found = re.findall(
            r"^(?:ARG VERSION=| +VERSION: \$\{WARREN_VERSION:-)([\d.]+)",
            (CHECKOUT / name).read_text(),
            re.MULTILINE,
        )
        assert found == [project["version"]], name


def test_all_packages_and_the_changelog_have_one_version() -> None:
    own = ("packages/*", "infra/*", "services/web", "services/mailer", "services/compute", ".")
    paths = [path for folder in own for path in CHECKOUT.glob(f"{folder}/pyproject.toml")]
    versions = {tomllib.loads(path.read_text())["project"]["version"] for path in paths}
    titles = re.findall(r"^## \[([\d.]+)\]", (CHECKOUT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions == {titles[0]}
