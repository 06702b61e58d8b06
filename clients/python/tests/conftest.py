"""A real server, a made-up one, and both kinds of client and guard, so that one test holds for both."""

import asyncio
import os
import re
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import pytest

import portcullis
from portcullis import aio, v1

ROOT_KEY = "root_0123456789abcdef0123456789abcdef"
# Longer than any test takes on a busy machine.
PATIENCE = 60.0

# Answers of grpc.health.v1.
SERVING = b"\x08\x01"
NOT_SERVING = b"\x08\x02"
SILENCE = b"none"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    """What the shell has set must not decide."""
    monkeypatch.delenv("PORTCULLIS_SERVER", raising=False)
    monkeypatch.delenv("PORTCULLIS_ROOT_KEY", raising=False)


@dataclass
class Kind:
    """Blocking, or asyncio."""

    name: str
    Client: Callable[..., Any]
    Guard: Callable[..., Any]
    run: Callable[[Callable[[], Any]], Any]


@pytest.fixture(params=["blocking", "asyncio"])
def kind(request) -> Iterator[Kind]:
    if request.param == "blocking":
        yield Kind("blocking", portcullis.Client, portcullis.Guard, lambda call: call())
        return
    loop = asyncio.new_event_loop()

    def run(call: Callable[[], Awaitable[Any]]) -> Any:
        async def awaited() -> Any:
            return await call()

        return loop.run_until_complete(awaited())

    yield Kind("asyncio", aio.Client, aio.Guard, run)
    loop.close()


@pytest.fixture
def connect(kind) -> Iterator[Callable[..., Any]]:
    """Makes clients, and closes them at the end."""
    clients = []

    def connect(*args: Any, **options: Any) -> Any:
        clients.append(kind.Client(*args, **{"root_key": ROOT_KEY, "timeout": PATIENCE, **options}))
        return clients[-1]

    yield connect
    for client in clients:
        kind.run(client.close)


class Fake(v1.VerificationServiceServicer):
    """Answers with what `answers` says, one after the other and the last for ever, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: list[v1.VerifyResponse | grpc.StatusCode] = [v1.VerifyResponse(valid=True)]
        self.details: bytes | None = None
        self.requests: list[v1.VerifyRequest] = []
        self.callers: list[str] = []
        self.seconds_left: list[float | None] = []
        self.is_silent = False
        # What grpc.health.v1 answers about "readiness"; without it, there is no such service.
        self.readiness: bytes | None = None
        self.health_calls: list[dict[str, Any]] = []
        self.address = ""

    def Verify(self, request, context):
        self.requests.append(request)
        self._remember(context)
        if self.is_silent:
            be_silent(context)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, v1.VerifyResponse):
            return answer
        if self.details is not None:
            context.set_trailing_metadata([("grpc-status-details-bin", self.details)])
        context.abort(answer, "made up")

    def Check(self, request: bytes, context) -> bytes:
        self.health_calls.append(dict(context.invocation_metadata()))
        if self.readiness is None or request != b"\n\treadiness":
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "made up")
        if self.readiness == SILENCE:
            be_silent(context)
        return self.readiness

    def VerifyStream(self, request_iterator, context):
        self._remember(context)
        for asked in request_iterator:
            yield v1.VerifyStreamResponse(correlation_id=asked.correlation_id)

    def _remember(self, context) -> None:
        self.callers.append(dict(context.invocation_metadata())["authorization"])
        self.seconds_left.append(context.time_remaining())


def be_silent(context) -> None:
    """Returns when the client has given up: another call may need the thread."""
    ended = Event()
    if context.add_callback(ended.set):
        ended.wait()


@pytest.fixture
def serve() -> Iterator[Callable[..., Fake]]:
    """Starts made-up servers."""
    running = []

    def serve(credentials: grpc.ServerCredentials | None = None) -> Fake:
        fake = Fake()
        server = grpc.server(futures.ThreadPoolExecutor(16))
        v1.add_VerificationServiceServicer_to_server(fake, server)
        health = {"Check": grpc.unary_unary_rpc_method_handler(fake.Check)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", health),))
        if credentials is None:
            fake.address = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        else:
            fake.address = f"https://localhost:{server.add_secure_port('127.0.0.1:0', credentials)}"
        server.start()
        running.append(server)
        return fake

    yield serve
    for server in running:
        server.stop(None).wait()


@pytest.fixture
def fake(serve) -> Fake:
    return serve()


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[str]:
    """The address of a real server."""
    program = os.environ.get("PORTCULLIS_TEST_PROGRAM")
    if not program:
        pytest.fail("PORTCULLIS_TEST_PROGRAM must name the program portcullis")
    folder = tmp_path_factory.mktemp("server")
    with (
        Path(folder, "log").open("w") as log,
        subprocess.Popen(
            [program, "serve", "--listen", "127.0.0.1:0"],
            cwd=folder,
            env={"PORTCULLIS_BOOTSTRAP_ROOT_KEY": ROOT_KEY},
            stdout=log,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        for line in process.stderr:
            if found := re.search(r"listening on (\S+)", line):
                yield f"http://{found[1]}"
                break
        else:
            pytest.fail("the server did not start")
        process.terminate()
