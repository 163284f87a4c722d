import os
import socket
import subprocess
import sys

import pytest

from local import ports
from local.errors import LocalError
from local.ports import free_ports, is_free, require_free

LOWEST_PORT = ports.lowest_port()


def test_free_ports_are_different_and_free() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(is_free(port) for port in ports)


def test_a_port_that_one_process_chose_is_not_given_to_another() -> None:
    first, second = free_ports(2)
    other = f"""
from local import ports
ports.CANDIDATES = ({first}, {second})
ports.free_ports(1)
"""
    asked = subprocess.run(
        [sys.executable, "-c", other], capture_output=True, text=True, check=False
    )

    assert "There are no 1 free ports" in asked.stderr


def test_a_port_in_use_is_named_with_its_variable_its_holder_and_the_way_out() -> None:
    [port] = free_ports(1)
    with socket.create_server(("127.0.0.1", port)), pytest.raises(LocalError) as problem:
        require_free({"WEB_PORT": port})
    assert f"WEB_PORT={port} is in use by process {os.getpid()}" in str(problem.value)
    assert "Choose other ports in .env" in str(problem.value)


def test_a_port_that_is_not_permitted_is_not_called_in_use() -> None:
    if LOWEST_PORT <= 1:
        pytest.skip("everybody may take every port here")
    unprivileged = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"]
    code = "from local import ports; ports.require_free({'WEB_PORT': 1})"
    asked = subprocess.run(
        [*(unprivileged if os.geteuid() == 0 else []), sys.executable, "-c", code],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert f"WEB_PORT=1 is not permitted to this user: ports below {LOWEST_PORT}" in asked.stderr
    assert "in use" not in asked.stderr


def test_every_port_in_use_is_named_at_once() -> None:
    ports = dict(zip(("A_PORT", "B_PORT", "C_PORT"), free_ports(3), strict=True))
    with (
        socket.create_server(("127.0.0.1", ports["A_PORT"])),
        socket.create_server(("127.0.0.1", ports["B_PORT"])),
        pytest.raises(LocalError) as problem,
    ):
        require_free(ports)
    assert "A_PORT" in str(problem.value)
    assert "B_PORT" in str(problem.value)
    assert "C_PORT" not in str(problem.value)


def test_two_variables_with_the_same_port_are_refused() -> None:
    [port] = free_ports(1)
    with pytest.raises(LocalError, match=f"B_PORT={port} is also the port of A_PORT"):
        require_free({"A_PORT": port, "B_PORT": port})
