"""The links that break connections for the fault suite do so."""

import socket
from collections.abc import Iterator

import pytest

from .link import Direction, Link, Network


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        yield server


@pytest.fixture
def link(listener: socket.socket) -> Iterator[Link]:
    network = Network()
    yield network.link("test", listener.getsockname()[1])
    network.close()


def join(link: Link, listener: socket.socket) -> tuple[socket.socket, socket.socket]:
    client = socket.create_connection(("127.0.0.1", link.port), timeout=5)
    server, _ = listener.accept()
    server.settimeout(5)
    return client, server


def is_silent(receiver: socket.socket) -> bool:
    receiver.settimeout(0.2)
    try:
        receiver.recv(100)
    except TimeoutError:
        return True
    finally:
        receiver.settimeout(5)
    return False


def test_bytes_pass_both_ways_until_one_side_closes(link: Link, listener: socket.socket) -> None:
    client, server = join(link, listener)
    with client, server:
        client.sendall(b"ping")
        assert server.recv(100) == b"ping"
        server.sendall(b"pong")
        assert client.recv(100) == b"pong"
        server.close()
        assert client.recv(100) == b""


def test_a_held_link_is_silent_in_the_held_direction_alone(
    link: Link, listener: socket.socket
) -> None:
    client, server = join(link, listener)
    with client, server:
        link.hold(Direction.TO_CLIENT)
        client.sendall(b"ping")
        assert server.recv(100) == b"ping"
        server.sendall(b"pong")
        assert is_silent(client)
        link.release()
        assert client.recv(100) == b"pong"


def test_what_a_forgotten_link_held_up_is_gone(link: Link, listener: socket.socket) -> None:
    client, server = join(link, listener)
    with client, server:
        link.hold()
        client.sendall(b"ping")
        assert is_silent(server)
        link.forget()
        with pytest.raises(ConnectionResetError):
            client.recv(100)


def test_a_cut_link_takes_new_connections(link: Link, listener: socket.socket) -> None:
    client, server = join(link, listener)
    with client, server:
        link.cut()
        with pytest.raises(ConnectionResetError):
            client.recv(100)
    client, server = join(link, listener)
    with client, server:
        client.sendall(b"ping")
        assert server.recv(100) == b"ping"


def test_a_refusing_link_takes_none(link: Link, listener: socket.socket) -> None:
    link.refuse()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", link.port), timeout=5)
    link.accept()
    client, server = join(link, listener)
    client.close()
    server.close()
