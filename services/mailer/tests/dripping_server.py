"""A mail server that always has something more to say, and never comes to an end."""

import socket
import threading
from contextlib import suppress

PAUSE = 0.1  # seconds between two drops


class DrippingServer:
    """Takes the stages of a mail in good order until one, whose answer it never ends."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):  # the client has cut the line, or the test is over
            while not self._stopped.is_set():
                line, _ = self._listener.accept()
                with line, suppress(OSError):
                    self._converse(line)

    def _converse(self, line: socket.socket) -> None:
        with line.makefile("rb") as lines:
            self._answer(line, "GREETING", b"220 hello")
            for command in lines:
                stage = command.split()[0].upper().decode()
                self._answer(line, stage, b"354 go on" if stage == "DATA" else b"250 fine")
                if stage == "DATA":
                    if b".\r\n" not in lines:  # reads on until there
                        return
                    self._answer(line, "END", b"250 taken")

    def _answer(self, line: socket.socket, stage: str, answer: bytes) -> None:
        while stage == self._stage and not self._stopped.wait(PAUSE):
            line.sendall(answer[:3] + b"-and another thing\r\n")
        line.sendall(answer + b"\r\n")
