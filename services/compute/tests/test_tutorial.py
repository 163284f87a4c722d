"""The code in docs/adding-a-computation.md does what the page says."""

import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from compute.catalogue import Catalogue
from compute.limits import Limits

PAGE = Path(__file__).parents[3] / "docs" / "adding-a-computation.md"
MODULE = "compute.computations.collatz"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def tutorial(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Make a module of the page's first block, without leaving a file behind."""
    module = ModuleType(MODULE)
    monkeypatch.setitem(sys.modules, MODULE, module)
    exec(blocks("python")[0], vars(module))  # noqa: S102  # our own page
    return module


def test_the_computation_is_announced_as_the_page_shows(tutorial: ModuleType) -> None:
    (shown,) = blocks("json")
    expected: dict[str, Any] = json.loads(shown)

    (announced,) = Catalogue([tutorial], Limits(300, 310, 512)).announcement("w").computations

    for field in ("name", "summary"):
        assert getattr(announced, field) == expected[field]
    for limit, value in expected["limits"].items():
        assert getattr(announced, limit) == value
    assert expected["arguments"].items() <= announced.arguments.items()


def test_its_test_passes(tutorial: ModuleType) -> None:
    page_test: dict[str, Any] = {}
    exec(blocks("python")[1], page_test)  # noqa: S102  # our own page
    test = page_test["test_agrees_with_known_values"]
    (mark,) = test.pytestmark

    for values in mark.args[1]:
        test(*values)
