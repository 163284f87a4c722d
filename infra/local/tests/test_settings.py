import shutil
from pathlib import Path

import pytest

from local.environment import process_environment
from local.errors import LocalError
from local.settings import PORTS, Settings

EXAMPLE = Path(__file__).parents[3] / ".env.example"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copy(EXAMPLE, tmp_path)
    return tmp_path


def test_the_example_gives_every_port_another_number(root: Path) -> None:
    settings = Settings.load(root, {})
    assert len(set(settings.ports.values())) == len(PORTS)


def test_the_environment_wins_over_the_file(root: Path) -> None:
    assert Settings.load(root, {"WEB_PORT": "8123"}).ports["WEB_PORT"] == 8123


@pytest.mark.parametrize(("name", "value"), [("JOBS_UNFINISHED", "0"), ("CONCURRENCY", "")])
def test_the_environment_wins_for_optional_settings_too(root: Path, name: str, value: str) -> None:
    settings = Settings.load(root, {name: value, "UNHEARD_OF": "1"})
    environment = process_environment(settings, {})
    assert environment[name] == value
    assert "UNHEARD_OF" not in environment


def test_a_misspelt_setting_in_the_environment_is_named_and_nothing_else_is(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Settings.load(root, {})
    capsys.readouterr()
    foreign = {"HOME": "/", "PATH": "/bin", "PGPORT": "1", "UV_CACHE_DIR": "x", "DATABASE_URL": "x",
               "BROKER_URL": "x", "MAKEFLAGS": "", "LOG": "1", "JWT_SIGNING_KEY_FILE": "/x",
               "OUTBOX_BATCH": "3", "LANGUAGE": "C", "PYTHONPATH": "x"}  # fmt: skip
    Settings.load(root, foreign | {"OUTBOX_BATCHS": "planted", "web_port": "planted"})
    assert capsys.readouterr().err.splitlines() == [
        "OUTBOX_BATCHS in the environment is no setting, and is not taken. Is it OUTBOX_BATCH?",
        "web_port in the environment is no setting, and is not taken. Is it WEB_PORT?",
    ]


@pytest.mark.parametrize(
    "name", ["WEB_HOST", "FLOWER_URL_PREFIX", "FLOWER_ADDRESS", "LOG_FORMAT", "PUBLIC_URL"]
)
def test_every_optional_setting_reaches_the_processes(root: Path, name: str) -> None:
    assert process_environment(Settings.load(root, {name: "mine"}), {})[name] == "mine"


@pytest.mark.parametrize("port", ["eight", "", "0", "65536", "-1", "9" * 5_000, "٨٠٨٠"])
def test_a_port_that_is_none_is_refused_by_name(root: Path, port: str) -> None:
    with pytest.raises(LocalError, match="WEB_PORT="):
        Settings.load(root, {"WEB_PORT": port})


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),  # noqa: S104
        ("127.0.0.2", "http://127.0.0.2:8000"),
        ("::", "http://[::1]:8000"),
        ("::1", "http://[::1]:8000"),
        ("localhost", "http://localhost:8000"),
    ],
)
def test_web_is_asked_and_answers_where_it_listens(root: Path, host: str, url: str) -> None:
    settings = Settings.load(root, {"WEB_HOST": host})
    environment = process_environment(settings, {})
    assert settings.web_url == environment["PUBLIC_URL"] == url
    allowed = environment["ALLOWED_HOSTS"].split(",")
    assert allowed.count(settings.web_host) == 1
    assert allowed[:2] == ["localhost", "127.0.0.1"]


def test_every_variable_is_explained_and_has_an_example() -> None:
    lines = EXAMPLE.read_text().splitlines()
    for number, line in enumerate(lines):
        name, equals, _ = line.partition("=")
        if equals and not line.startswith("#"):
            assert f"Example: {name}=" in " ".join(lines[number - 2 : number])


def test_the_processes_are_told_where_everything_is(root: Path) -> None:
    settings = Settings.load(root, {"RABBITMQ_PASSWORD": "a/b", "POSTGRES_PORT": "5999"})
    environment = process_environment(settings, {"HOME": "/home/me", "AWS_SECRET": "not ours"})
    assert environment["BROKER_URL"] == "amqp://warren:a%2Fb@127.0.0.1:5682/warren"
    assert environment["DATABASE_URL"].endswith("@127.0.0.1:5999/warren")
    assert environment["LEDGER_URL"].startswith("postgresql://mailer:")
    assert environment["HOME"] == "/home/me"
    assert "AWS_SECRET" not in environment
    assert "POSTGRES_WARREN_PASSWORD" not in environment


def test_a_setting_that_a_person_adds_is_passed_on(root: Path) -> None:
    Settings.load(root, {})
    path = root / ".env"
    path.write_text(path.read_text() + "CONCURRENCY=4\n")
    assert process_environment(Settings.load(root, {}), {})["CONCURRENCY"] == "4"


def test_the_generated_secrets_are_long_enough(root: Path) -> None:
    environment = process_environment(Settings.load(root, {}), {})
    assert len(environment["DJANGO_SECRET_KEY"]) >= 50
    assert len(environment["JWT_SIGNING_KEY"].encode()) >= 32
