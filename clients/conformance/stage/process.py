"""A child process whose output is kept."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from . import patience
from .failure import Failure


class Process:
    """A command in a process group of its own, so that what it starts ends with it."""

    def __init__(self, command: list[str], folder: Path, env: dict[str, str]) -> None:
        """Starts it, with the environment of this process but for what is Portcullis's, and `env`."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PORTCULLIS_")}
        self._child = subprocess.Popen(
            command,
            cwd=folder,
            env=inherited | env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._name = " ".join(command)
        self._said = {"stdout": bytearray(), "stderr": bytearray()}
        self._readers = [threading.Thread(target=self._read, args=(name,), daemon=True) for name in self._said]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str) -> None:
        stream = getattr(self._child, name)
        while some := stream.read1():
            self._said[name] += some

    def output(self) -> str:
        """All that it has said so far, on standard output first."""
        return b"".join(self._said.values()).decode(errors="replace")

    def line(self, stream: str, found: Callable[[str], str | None], seconds: float) -> str:
        """What `found` makes of the first whole line of `stream` that it makes something of."""
        answer: list[str] = []

        def look() -> bool:
            ended = self._child.poll() is not None
            if ended:
                self._finish_reading()
            *lines, _ = self._said[stream].decode(errors="replace").split("\n")
            answer.extend(value for line in lines if (value := found(line)) is not None)
            if ended and not answer:
                raise Failure(f"{self._name} ended with status {self._child.returncode}:\n{self.output()}")
            return bool(answer)

        patience.until(look, f"the line of {self._name}", seconds)
        return answer[0]

    def close_input(self) -> None:
        """Ends its standard input."""
        try:
            self._child.stdin.close()
        except BrokenPipeError:
            pass

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to all of it."""
        try:
            os.killpg(self._child.pid, number)
        except ProcessLookupError:
            pass

    def wait(self, seconds: float) -> bool:
        """Waits for its end; whether it came. All that it said is there then."""
        try:
            self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        self._finish_reading()
        return True

    def kill(self) -> None:
        """Ends it at once, and whatever it left behind."""
        self.signal(signal.SIGKILL)
        self._child.wait()
        self.close_input()
        self._finish_reading()

    def _finish_reading(self) -> None:
        for reader in self._readers:
            # A grandchild that outlives it may hold the pipe.
            reader.join(5)
