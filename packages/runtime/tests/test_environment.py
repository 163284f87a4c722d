"""Settings: what is wrong with them is said at once, by name, and without their secrets."""

from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.errors import SettingsError
from runtime.environment import Environment

URL = "amqp://warren:planted@localhost:5672/warren"


def problems(env: Environment) -> str:
    with pytest.raises(SettingsError) as refusal:
        env.check()
    return str(refusal.value)


def test_what_is_set_is_read_in_its_type() -> None:
    env = Environment(
        {"NAME": " ada ", "COUNT": "3", "PAUSE": "0.5", "ON": "Yes", "MODE": "b", "LIST": "x, y,"}
        | {"ADDRESS": URL}
    )
    assert env.text("NAME", example="x") == "ada"
    assert env.integer("COUNT", default=1) == 3
    assert env.seconds("PAUSE", default=1) == 0.5
    assert env.flag("ON", default=False) is True
    assert env.choice("MODE", options=("a", "b"), default="a") == "b"
    assert env.items("LIST", example="x") == ["x", "y"]
    assert env.url("ADDRESS", schemes=("amqp",), example="amqp://host") == URL
    env.check()


def test_defaults_stand_in_for_what_is_not_set_or_empty() -> None:
    env = Environment({"NAME": ""})
    assert env.text("NAME", example="x", default="y") == "y"
    assert env.integer("COUNT", default=7) == 7
    assert env.flag("ON", default=True) is True
    assert env.parsed("DATE", int, example="1", placeholder=0, default=5) == 5
    env.check()


def test_one_refusal_names_every_problem_with_an_example() -> None:
    env = Environment({"COUNT": "many", "MODE": "c"})
    env.text("NAME", example="ada")
    env.integer("COUNT", default=4)
    env.choice("MODE", options=("a", "b"), default="a")
    text = problems(env)
    assert "NAME is missing. Example: NAME=ada" in text
    assert "COUNT='many' is wrong" in text
    assert "Example: COUNT=4" in text
    assert "MODE='c' is wrong: it must be one of a, b" in text


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (lambda env: env.integer("X", default=1, minimum=1), "0"),
        (lambda env: env.seconds("X", default=1), "0"),
        (lambda env: env.seconds("X", default=1), "inf"),
        (lambda env: env.seconds("X", default=1), "nan"),
        (lambda env: env.seconds("X", default=3, minimum=2), "1.9"),
        (lambda env: env.seconds("X", default=3, maximum=4), "4.1"),
        (lambda env: env.flag("X", default=True), "perhaps"),
        (lambda env: env.url("X", schemes=("amqp",), example="amqp://host"), "http://host"),
        (lambda env: env.url("X", schemes=("amqp",), example="amqp://host"), "amqp:///vhost"),
        (lambda env: env.secret("X", min_length=5, example="12345"), "1234"),
    ],
)
def test_a_value_out_of_range_is_refused(read: Callable[[Environment], object], value: str) -> None:
    env = Environment({"X": value})
    read(env)
    assert "X" in problems(env)


def test_a_refusal_never_repeats_a_secret() -> None:
    env = Environment(dict.fromkeys(("SECRET", "ADDRESS", "PARSED"), "amqp://u:planted/word@host"))
    env.secret("SECRET", min_length=100, example="100 characters")
    env.url("ADDRESS", schemes=("amqp",), example="amqp://host")
    env.parsed("PARSED", _refuse, example="1", placeholder=0)
    text = problems(env)
    for name in ("SECRET", "ADDRESS", "PARSED"):
        assert f"{name} is wrong" in text
    assert "planted" not in text


def test_a_secret_may_be_handed_over_as_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("from the file\n")
    env = Environment({"KEY_FILE": str(file), "KEY": "from the environment"})
    assert env.secret("KEY", example="x") == "from the file"
    env.check()


def test_a_missing_secret_file_is_a_problem_like_any_other(tmp_path: Path) -> None:
    env = Environment({"KEY_FILE": str(tmp_path / "nothing")})
    env.secret("KEY", example="x")
    assert "KEY is wrong: [Errno 2] No such file or directory" in problems(env)


def _refuse(_raw: str) -> int:
    raise ValueError("it is not one of ours")


EXAMPLES = [
    "<generated>",
    "only-an-example-only-an-example",
    "amqp://user:password@localhost:5672/warren",
    "amqp://guest:guest@rabbitmq",
    "smtp://mailpit:1025",
]


@pytest.mark.parametrize("value", EXAMPLES)
def test_an_example_is_no_secret(value: str) -> None:
    env = Environment({"X": value})
    env.secret("X", example="long and random")
    text = problems(env)
    assert "X is wrong: it is an example, for WARREN_ENVIRONMENT=development alone" in text
    assert value not in text


@pytest.mark.parametrize("value", EXAMPLES)
def test_development_goes_by_examples(value: str) -> None:
    env = Environment({"X": value, "WARREN_ENVIRONMENT": "development"})
    assert env.secret("X", example="long and random") == value
    env.check()


def test_an_example_in_a_file_or_an_address_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(EXAMPLES[2])
    env = Environment({"X_FILE": str(tmp_path / "url"), "Y": EXAMPLES[3]})
    env.url("X", schemes=("amqp",), example="amqp://host")
    env.parsed("Y", str, example="amqp://host", placeholder="")
    assert problems(env).count("it is an example") == 2


def test_the_stage_is_one_of_two() -> None:
    assert "WARREN_ENVIRONMENT='staging' is wrong" in problems(
        Environment({"WARREN_ENVIRONMENT": "staging"})
    )
