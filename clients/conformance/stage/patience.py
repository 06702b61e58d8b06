"""Waiting for what other processes do, without a guess at how long that takes."""

import time
from collections.abc import Callable

from .failure import Failure


def until(condition: Callable[[], object], what: str, seconds: float = 60, pause: float = 0.05) -> None:
    """Returns once `condition` holds; a Failure that names `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failure(f"waited {seconds:g} s in vain: {what}")
        time.sleep(pause)
