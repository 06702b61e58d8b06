"""Asks an app over HTTP, byte by byte: no library's idea of a header comes between."""

import http.client
import io
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from . import tables
from .failure import Failure
from .sameness import difference, parsed
from .tables import Case

TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    raw: str


class Http:
    """Asks one route."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)

    def close(self) -> None:
        """Nothing is kept between two requests."""

    def ask(self, case: Case) -> Answer:
        """Sends a request; a Failure if nothing comes back that is an answer."""
        target = self._url.path + (f"?{case.query}" if case.query else "")
        lines = [f"{case.method} {target} HTTP/1.1", f"Host: {self._url.netloc}"]
        lines += [f"{name}: {value}" for name, value in case.headers]
        lines += ["Content-Length: 0"] if case.method == "POST" else []
        request = "\r\n".join([*lines, "Connection: close", "", ""]).encode()
        return _parse(self._exchange(request), case.method)

    def _exchange(self, request: bytes) -> bytes:
        answer = bytearray()
        with socket.create_connection((self._url.hostname, self._url.port), TIMEOUT_SECONDS) as connection:
            # Who refuses a request early may close without reading all of it: its answer counts all the same.
            try:
                connection.sendall(request)
            except ConnectionError:
                pass
            try:
                while some := connection.recv(65536):
                    answer += some
            except ConnectionError:
                pass
        return bytes(answer)


class _Replay:
    """What http.client takes for a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_) -> io.BytesIO:
        return io.BytesIO(self._data)


def _parse(data: bytes, method: str) -> Answer:
    if not data:
        raise Failure("the connection was closed without an answer")
    response = http.client.HTTPResponse(_Replay(data), method=method)
    try:
        response.begin()
        body = response.read()
    except http.client.HTTPException as error:
        raise Failure(f"no answer of HTTP: {error!r}") from None
    return Answer(response.status, response.headers, body, data.decode(errors="replace"))


def complaints(expected: dict, answer: Answer) -> list[str]:
    """What of an answer is not as expected."""
    if "status_any" in expected:
        allowed = expected["status_any"]
        return [] if answer.status in allowed else [f"status: expected one of {allowed}, got {answer.status}"]
    if "refusal" in expected:
        return _of_refusal(tables.refusal(expected), answer)
    found = list(difference("status", expected.get("status", 200), answer.status))
    if "identity" in expected:
        found += difference("identity", tables.identity(expected), parsed(answer.body))
    return found


def _of_refusal(refusal: tables.Refusal, answer: Answer) -> list[str]:
    body = {"error": refusal.code, "message": refusal.message}
    if refusal.missing_scopes:
        body["missing_scopes"] = refusal.missing_scopes
    found = list(difference("status", refusal.status, answer.status))
    found += difference("body", body, parsed(answer.body))
    for name, value in [
        ("Content-Type", "application/json"),
        ("Cache-Control", "no-store"),
        ("WWW-Authenticate", refusal.challenge),
    ]:
        found += difference(name, [value] if value else [], answer.headers.get_all(name, []))
    found += _of_retry_after(refusal.retry_after, answer.headers.get_all("Retry-After", []))
    return found


def _of_retry_after(expected: list[int] | None, got: list[str]) -> list[str]:
    if expected is None:
        return list(difference("Retry-After", [], got))
    if len(got) == 1 and got[0].isdecimal() and expected[0] <= int(got[0]) <= expected[1]:
        return []
    return [f"Retry-After: expected whole seconds from {expected[0]} to {expected[1]}, got {got}"]
