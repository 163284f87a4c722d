"""Where the system allows less memory than the computation, the system's limit holds."""

import subprocess
import sys

PROGRAM = """
import resource
from compute import limits
from contracts.errors import PermanentError

allowed = limits._data_size() + 100 * limits.MIB
resource.setrlimit(resource.RLIMIT_DATA, (allowed, allowed))
try:
    with limits.enforced((2, 1), 512):
        bytearray(200 * limits.MIB)
except PermanentError as error:
    print(error.kind)
assert resource.getrlimit(resource.RLIMIT_DATA) == (allowed, allowed)
"""


def test_a_lower_limit_of_the_system_holds() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )

    assert answer.stdout.split() == ["MemoryLimitExceeded"]
