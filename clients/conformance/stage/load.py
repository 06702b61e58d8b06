"""Requests without end, several at a time."""

import threading
import time
from concurrent import futures
from typing import Self

from .apps import App, RunningApp
from .failure import Failure
from .tables import Case
from .trial import COMPLAINTS
from .wallet import Wallet

LOOPS = 4
PAUSE_SECONDS = 0.005


class Load:
    """Sends one case again and again, and keeps what was not as expected."""

    def __init__(self, case: Case, app: App, running: RunningApp, wallet: Wallet) -> None:
        self._case = case
        self._complaints = COMPLAINTS[app.kind]
        self._expected = wallet.fill(case.expect[0])
        self._ended = threading.Event()
        self.failures: list[str] = []
        self._counts = [0] * LOOPS
        self._callers = [running.caller(case.profile) for _ in range(LOOPS)]
        self._loops = futures.ThreadPoolExecutor(LOOPS)

    def __enter__(self) -> Self:
        self._sending = [self._loops.submit(self._send, *pair) for pair in enumerate(self._callers)]
        return self

    def __exit__(self, *_) -> None:
        self._ended.set()
        for sending in self._sending:
            sending.result()

    @property
    def sent(self) -> int:
        """How many requests were answered so far."""
        return sum(self._counts)

    def _send(self, loop: int, caller) -> None:
        try:
            while not self._ended.wait(PAUSE_SECONDS):
                began = time.monotonic()
                try:
                    complaints = self._complaints(self._expected, caller.ask(self._case))
                except (Failure, OSError) as failure:
                    complaints = [str(failure)]
                took = time.monotonic() - began
                self.failures += [f"{complaint}, after {took:.1f} s" for complaint in complaints]
                self._counts[loop] += 1
        finally:
            caller.close()
