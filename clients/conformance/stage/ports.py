"""Ports of 127.0.0.1."""

import random
import socket
from typing import Self

HOST = "127.0.0.1"


def free() -> int:
    """A port nobody listens on. Below the range that connections take theirs from: it stays free through a restart."""
    while True:
        port = random.randint(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
                return port
            except OSError:
                continue


class Closed:
    """A port that refuses connections: it is taken, and nobody listens."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind((HOST, 0))
        self.address = f"{HOST}:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self._socket.close()
