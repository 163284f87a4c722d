import re
import shutil
from pathlib import Path

import pytest

from local import env_file
from local.errors import LocalError

from .checkouts import CHECKOUT, Checkout

EXAMPLE = """\
# A secret. Example: KEY=<generated>
KEY=<generated>
OTHER_KEY=<generated>
PORT=8000
NAME="A name <a@example.org>"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".env.example").write_text(EXAMPLE)
    return tmp_path


def test_the_file_is_made_from_the_example_with_secrets_of_its_own(root: Path) -> None:
    values = env_file.read_or_create(root)
    assert values["PORT"] == "8000"
    assert values["NAME"] == "A name <a@example.org>"
    assert len(values["KEY"]) >= 50
    assert values["KEY"] != values["OTHER_KEY"]
    assert "<generated>" not in values.values()


def test_only_its_owner_may_read_it(root: Path) -> None:
    env_file.read_or_create(root)
    assert (root / ".env").stat().st_mode & 0o777 == 0o600


def test_a_second_run_changes_nothing(root: Path) -> None:
    first = env_file.read_or_create(root)
    assert env_file.read_or_create(root) == first


def test_a_variable_that_the_example_gained_is_added(root: Path) -> None:
    before = env_file.read_or_create(root)
    (root / ".env.example").write_text(EXAMPLE + "NEW_KEY=<generated>\nNEW_PORT=9\n")
    after = env_file.read_or_create(root)
    assert after["NEW_PORT"] == "9"
    assert len(after["NEW_KEY"]) >= 50
    assert {name: after[name] for name in before} == before


def test_what_a_person_changed_is_kept(root: Path) -> None:
    env_file.read_or_create(root)
    path = root / ".env"
    path.write_text(path.read_text().replace("PORT=8000", "PORT=8001"))
    assert env_file.read_or_create(root)["PORT"] == "8001"


def test_a_copy_of_the_example_gets_secrets_and_is_closed_to_others(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(root / ".env.example", root / ".env")
    values = env_file.read_or_create(root)
    assert len(values["KEY"]) >= 50
    assert values["KEY"] != values["OTHER_KEY"]
    assert (root / ".env").stat().st_mode & 0o777 == 0o600
    said = capsys.readouterr().err
    assert said == f"Gave KEY, OTHER_KEY in {root}/.env secrets of their own.\n"
    assert env_file.read_or_create(root) == values
    assert not capsys.readouterr().err


def test_a_link_to_the_file_stays_a_link(root: Path) -> None:
    shutil.copy(root / ".env.example", root / "elsewhere")
    (root / ".env").symlink_to("elsewhere")
    values = env_file.read_or_create(root)
    assert (root / ".env").is_symlink()
    assert values["KEY"] in (root / "elsewhere").read_text()


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=1", "1"),
        ("A=", ""),
        ("A=a=b,c:d/e@f%g+h-i_j.k!l", "a=b,c:d/e@f%g+h-i_j.k!l"),
        ("A=ü", "ü"),
        ('A="two words"', "two words"),
        ('A="it\'s #1"', "it's #1"),
        ("A=' #\"$`\\x '", ' #"$`\\x '),
        ("A=1\r", "1"),
        ("\ufeffA=1", "1"),
        ("  # a comment\nA=1", "1"),
    ],
)
def test_what_is_plain_is_taken_as_it_stands(root: Path, line: str, value: str) -> None:
    (root / ".env").write_text(f"{line}\n")
    assert env_file.read_or_create(root)["A"] == value


@pytest.mark.parametrize(
    ("line", "way_out"),
    [
        ("A=hidden#word", "Write A='…'"),
        ("A=hidden # a comment", "put that on a line of its own"),
        ('A="hidden" # a comment', "Put a comment on a line of its own"),
        ("A=hidden word", "Write A='…'"),
        ("A=hidden ", "Write A='…'"),
        ("A= hidden", "write A=…"),
        ("A = hidden", "write A=…"),
        (" A=hidden", "write A=…"),
        ("A\t=hidden", "write A=…"),
        ("export A=hidden", "without `export`, please: write A=…"),
        ("export\tA=hidden", "without `export`, please: write A=…"),
        ("A='hidden", "A='…'"),
        ("A='hidden'hidden", 'A="…"'),
        ("A=hid'den", 'Write A="…"'),
        ("A='hid'den'", 'Write A="…"'),
        ("A='hidden\\\\'", "A='…'"),
        ('A="hid\\"den"', "A='…'"),
        ('A="hidden$HOME"', "A='…'"),
        ("A=hidden$HOME", "A='…'"),
        ("A=hidden`id`", "A='…'"),
        ("A=hid\u200bden", "Write it anew"),
        ("A=hid\x00den", "Write it anew"),
        ("A=hid\u2028den", "Write it anew"),
        ("A=hid\udcffden", "Write it anew"),
        ("A=hidden\nA=hidden", "Remove one of the two"),
        ("hidden", "Write NAME=value"),
        ("A: hidden", "Write NAME=value"),
        ("A.B=hidden", "Write NAME=value"),
        ("1A=hidden", "Write NAME=value"),
        ("BROKER_URL=hidden", "Remove this line"),
    ],
)
def test_what_is_not_plain_is_refused_by_line_and_without_its_value(
    root: Path, line: str, way_out: str
) -> None:
    text = f"PORT=1\n\n{line}\n"
    (root / ".env").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(LocalError) as problem:
        env_file.read_or_create(root)
    said = str(problem.value)
    assert f"\n  line {3 + line.count(chr(10))}: " in said
    assert way_out in said
    assert "hid" not in said
    assert (root / ".env").read_bytes() == text.encode(errors="surrogateescape"), "it was changed"


def test_all_lines_that_are_not_plain_are_named_at_once(root: Path) -> None:
    (root / ".env").write_text("A = 1\nB=2\nexport C=3\n")
    with pytest.raises(LocalError, match=r"(?s)\.env .*line 1: .*line 3: ") as problem:
        env_file.read_or_create(root)
    assert "line 2" not in str(problem.value)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("OUTBOX_BATCHS", "OUTBOX_BATCH"),
        ("COMPOSE_PROFILE", "COMPOSE_PROFILES"),
        ("WEBPORT", "WEB_PORT"),
        ("WEB_PROT", "WEB_PORT"),
        ("web_port", "WEB_PORT"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("ALLOWED_HOST", "ALLOWED_HOSTS"),
        ("JWT_SIGNING_KEY_FIEL", "JWT_SIGNING_KEY"),
    ],
)
def test_a_misspelt_setting_is_refused_with_the_right_spelling(
    root: Path, name: str, nearest: str
) -> None:
    shutil.copy(CHECKOUT / ".env.example", root)
    (root / ".env").write_text(f"{name}=3\n")
    with pytest.raises(LocalError, match=rf"line 1: there is no setting {name}\. Write {nearest}="):
        env_file.read_or_create(root)
    with (root / ".env.example").open("a") as example:
        example.write(f"#{name}=\n")
    assert env_file.read_or_create(root)[name] == "3", "not taken, though it is known now"


def test_make_secrets_names_a_misspelt_setting(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path / "warren")
    (checkout.root / ".env").write_text("OUTBOX_BATCHS=planted\n")
    ended = checkout.make("secrets")
    assert ended.returncode == 2
    assert "line 1: there is no setting OUTBOX_BATCHS. Write OUTBOX_BATCH=" in ended.stderr
    assert "planted" not in ended.stdout + ended.stderr
    (checkout.root / ".env").write_text("OUTBOX_BATCH=3\n")
    assert checkout.make("secrets").returncode == 0


def test_settings_of_ones_own_and_of_the_containers_are_taken(root: Path) -> None:
    shutil.copy(CHECKOUT / ".env.example", root)
    of_containers = re.findall(r"\$\{([A-Z_]+)", (CHECKOUT / "docker-compose.yml").read_text())
    names = {
        *of_containers,
        *env_file.COMPOSE,
        "TEXTS_LANGUAGE",
        "IMAP_PORT",
        "JWT_SIGNING_KEY_FILE",
        "PRINT_FROM",
    }
    (root / ".env").write_text("".join(f"{name}=3\n" for name in names))
    assert names <= env_file.read_or_create(root).keys()


def test_every_setting_that_a_service_reads_is_known() -> None:
    reading = re.compile(r"""\b(?:_?env\.\w+|read_\w+)\(\s*"([A-Z][A-Z_]+)\"""")
    folders = ("packages", "services/web/web", "services/mailer", "services/compute", "infra")
    files = [file for folder in folders for file in (CHECKOUT / folder).rglob("*.py")]
    files += [*(CHECKOUT / "services/web").glob("*.py")]
    texts = [file.read_text() for file in files if "tests" not in file.parts]
    read = {name for text in texts for name in reading.findall(text)}
    assert {"WEB_WORKERS", "SMTP_TIMEOUT", "CONCURRENCY", "THROTTLE_SIGN_IN"} <= read
    assert read - env_file.known(CHECKOUT) - {*env_file.COMPOSED, "LIVENESS_FILE"} == set()
