"""Names of processes: `compute.2` is the second of the kind `compute`."""

from collections.abc import Collection, Iterable

from local.errors import LocalError

PROCFILE = (
    " The Procfile is read when `make up` starts: after a change, `make down` and start it again."
)


def kind(process: str) -> str:
    return process.rpartition(".")[0]


def select(names: Collection[str], processes: Iterable[str]) -> list[str]:
    """Choose the `processes` whose name or kind is among `names`."""
    return [process for process in processes if process in names or kind(process) in names]


def require_known(names: Iterable[str], processes: Collection[str], kinds: Collection[str]) -> None:
    """Raise LocalError, with the known names, for a name that is neither process nor kind."""
    for name in names:
        if name not in kinds and name not in processes:
            alike = [process for process in processes if kind(process) == kind(name)]
            refusal = f"There is no process {name[:80]!r}; there are {', '.join(alike or kinds)}."
            raise LocalError(refusal if alike else refusal + PROCFILE)
