"""Whether every replica is unready, by grpc.health.v1."""

import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

import grpc

from ._settings import Settings

INTERVAL_SECONDS = 1.0
"""Health is asked at most once in this time, and has as long to answer, the connection included."""
LATE_SECONDS = 2.0
"""A check that ends later than this says nothing: this process was busy, not Portcullis."""
VALID_SECONDS = 3.0
"""What a check found holds for this long."""
WATCH_SECONDS = 30.0
"""Health is asked for this long after the last failure."""

_METHOD = "/grpc.health.v1.Health/Check"
# The messages have one field each: the service to ask about, and the status, of which 1 is SERVING.
_READINESS = b"\n\treadiness"
_SERVING = b"\x08\x01"
# What a replica that cannot be reached, or does not answer, is told by. Any other error comes from one that is there.
_UNREACHABLE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)

_Address = tuple[str, str]
"""The target of one address of a replica, and the name that its certificate must have."""


class ReadinessMonitor:
    """Asks in a thread of its own, which there is only for some time after a failure: for both kinds of client."""

    def __init__(self, settings: Settings) -> None:
        """For the replicas that the settings name."""
        self._settings = settings
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._is_watching = False
        self._watch_until = 0.0
        self._unready_until = 0.0

    def report_failure(self) -> bool:
        """Whether every replica is known to be unready, now that a call failed.

        Does not wait. A first failure has health asked, in the background, once a second at most, until there was none
        for 30 s; up to the first answer, no replica is known to be unready.
        """
        with self._lock:
            now = time.monotonic()
            self._watch_until = now + WATCH_SECONDS
            if not self._is_watching and not self._closed.is_set():
                self._is_watching = True
                threading.Thread(target=self._watch, name="portcullis-readiness", daemon=True).start()
            return now < self._unready_until

    def close(self) -> None:
        """Ends the thread, if there is one."""
        self._closed.set()

    def _watch(self) -> None:
        channels: dict[_Address, grpc.Channel] = {}
        try:
            while True:
                start = time.monotonic()
                unready = self._check(channels)
                if not self._keep_watching(unready and time.monotonic() - start < LATE_SECONDS):
                    return
                self._closed.wait(max(0.0, start + INTERVAL_SECONDS - time.monotonic()))
        finally:
            for channel in channels.values():
                channel.close()

    def _keep_watching(self, unready: bool) -> bool:
        """Remembers what a check found; whether there is to be another."""
        with self._lock:
            now = time.monotonic()
            self._unready_until = now + VALID_SECONDS if unready and not self._closed.is_set() else 0.0
            self._is_watching = now < self._watch_until and not self._closed.is_set()
            return self._is_watching

    def _check(self, channels: dict[_Address, grpc.Channel]) -> bool:
        """Asks every replica at once; whether none is ready. Keeps the channels for the next time."""
        addresses = _look_up(self._settings.hosts, self._settings.authority)
        for gone in channels.keys() - addresses:
            channels.pop(gone).close()
        for address in addresses - channels.keys():
            channels[address] = self._connect(*address)
        calls = [_ask(channel) for channel in channels.values()]
        try:
            return not any(_is_ready(call) for call in calls)
        finally:
            for call in calls:
                call.cancel()

    def _connect(self, target: str, authority: str) -> grpc.Channel:
        settings = self._settings
        options: list[tuple[str, Any]] = [
            *settings.health_options,
            ("grpc.default_authority", authority),
        ]
        if settings.credentials is None:
            return grpc.insecure_channel(target, options)
        return grpc.secure_channel(target, settings.credentials, options)


def _look_up(hosts: Sequence[tuple[str, int]], authority: str | None) -> set[_Address]:
    """All addresses of all names. A name that has none is that of a replica which cannot be reached."""
    found = set()
    for host, port in hosts:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            continue
        name = authority or (f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        for family, _, _, _, at in answers:
            ip = at[0]
            found.add((f"ipv6:[{ip}]:{port}" if family == socket.AF_INET6 else f"ipv4:{ip}:{port}", name))
    return found


def _ask(channel: grpc.Channel) -> Any:
    # Without serializers, messages are bytes.
    check: Any = channel.unary_unary(_METHOD)
    return check.future(_READINESS, timeout=INTERVAL_SECONDS)


def _is_ready(call: Any) -> bool:
    code = call.code()
    if code is grpc.StatusCode.OK:
        return bool(call.result() == _SERVING)
    return code not in _UNREACHABLE
