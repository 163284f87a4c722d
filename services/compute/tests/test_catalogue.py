"""What the worker announces: found by itself, and described by valid JSON Schemas."""

import sys
from types import ModuleType

import pytest
from jsonschema import Draft202012Validator

from compute.catalogue import Catalogue
from compute.computations import arithmetic, primes
from compute.declaration import computation
from compute.definition import DefinitionError
from compute.limits import Limits
from contracts.errors import PermanentError, SettingsError
from contracts.events import Computation

DEFAULTS = Limits(soft_time_limit=300, time_limit=310, memory_limit=512)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.discover([], DEFAULTS)


@pytest.fixture(scope="module")
def announced(catalogue: Catalogue) -> dict[str, Computation]:
    return {each.name: each for each in catalogue.announcement("compute@here").computations}


def test_computations_are_found_without_being_listed(announced: dict[str, Computation]) -> None:
    assert {"add", "multiply", "count_primes", "describe"} <= announced.keys()


def test_every_schema_is_valid(announced: dict[str, Computation]) -> None:
    for each in announced.values():
        Draft202012Validator.check_schema(each.arguments)
        Draft202012Validator.check_schema(each.result)


def test_every_argument_is_described_and_no_other_allowed(
    announced: dict[str, Computation],
) -> None:
    for each in announced.values():
        assert each.arguments["additionalProperties"] is False
        assert all("description" in field for field in each.arguments["properties"].values())


def test_the_schema_of_count_primes_says_what_its_signature_says(
    announced: dict[str, Computation],
) -> None:
    count_primes = announced["count_primes"]

    limit = count_primes.arguments["properties"]["limit"]
    assert (limit["type"], limit["minimum"], limit["maximum"]) == ("integer", 0, 10**10)
    assert count_primes.arguments["required"] == ["limit"]
    assert count_primes.result["required"] == ["limit", "count", "largest"]
    assert count_primes.summary == "Count the primes up to and including a limit."
    assert count_primes.description.startswith("A segmented sieve")


def test_a_number_is_called_a_number(announced: dict[str, Computation]) -> None:
    assert announced["add"].arguments["properties"]["x"]["type"] == "number"
    assert announced["add"].result["type"] == "number"


def test_limits_are_the_declared_ones_or_the_defaults(announced: dict[str, Computation]) -> None:
    def limits(name: str) -> tuple[int, int, int]:
        each = announced[name]
        return each.soft_time_limit, each.time_limit, each.memory_limit

    assert limits("add") == (300, 310, 512)
    assert limits("count_primes") == (300, 310, 256)


def test_the_announcement_names_the_worker(catalogue: Catalogue) -> None:
    assert catalogue.announcement("compute@here").worker == "compute@here"


def test_the_largest_memory_limit_counts_for_the_pool(catalogue: Catalogue) -> None:
    assert catalogue.largest_memory_limit == 512


def test_an_unknown_computation_is_named(catalogue: Catalogue) -> None:
    with pytest.raises(PermanentError, match="no computation named 'divide'") as caught:
        catalogue.find("divide")

    assert caught.value.kind == "UnknownComputation"


def test_what_a_module_imports_from_another_is_not_offered_twice() -> None:
    module = ModuleType("acme")
    vars(module).update(add=arithmetic.add, count_primes=primes.count_primes)

    assert Catalogue([module], DEFAULTS).announcement("w").computations == []


def test_two_computations_of_one_name_are_refused() -> None:
    @computation(name="add")
    def sum_up(x: int) -> int:
        """Sum up."""
        return x

    module = ModuleType(sum_up.__module__)
    vars(module)["sum_up"] = sum_up

    with pytest.raises(DefinitionError, match="two computations named 'add'"):
        Catalogue([arithmetic, module], DEFAULTS)


def test_a_module_that_cannot_be_imported_is_a_wrong_setting() -> None:
    assert "acme.missing" not in sys.modules
    with pytest.raises(SettingsError, match=r"'acme\.missing' of COMPUTE_MODULES"):
        Catalogue.discover(["acme.missing"], DEFAULTS)
