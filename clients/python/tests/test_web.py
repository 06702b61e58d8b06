"""The middleware and the dependency, called as a server would call them."""

import json
from typing import Annotated

import pytest
from conftest import PATIENCE, ROOT_KEY
from fastapi import APIRouter, Depends, FastAPI, WebSocket

from portcullis import Identity, Refusal, aio, v1
from portcullis.asgi import GuardMiddleware, lines
from portcullis.fastapi import dependency, install

GOOD = [(b"authorization", b"Bearer k")]
WEBSOCKET = {"type": "websocket", "subprotocols": []}
DENIAL = {"extensions": {"websocket.http.response": {}}}


async def ask(app, headers=(), *, path="/orders", method="GET", client=("192.0.2.1", 1234), **scope):
    """What `app` sends for one request."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": list(headers),
        "client": client,
        "server": ("127.0.0.1", 80),
        **scope,
    }
    kind = scope["type"]
    to_receive = iter(
        [{"type": "http.request"}]
        if kind == "http"
        else [{"type": "websocket.connect"}, {"type": "websocket.disconnect"}]
    )
    sent = []

    async def receive():
        return next(to_receive)

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return sent


def answer(sent):
    """Status, headers and body of an HTTP answer."""
    start, body = sent
    assert start["type"].endswith("http.response.start")
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], headers, json.loads(body["body"])


def is_refusal(sent, refusal: Refusal) -> bool:
    status, headers, body = answer(sent)
    expected = {name.lower(): value for name, value in refusal.headers.items()}
    expected["content-length"] = str(len(refusal.body))
    return (status, headers, body) == (refusal.status, expected, json.loads(refusal.body))


async def echo(scope, receive, send):
    """An application that tells the identity, over HTTP or a WebSocket."""
    identity = scope["state"]["identity"]
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    body = {"key_id": identity.key_id, "others": scope["state"].get("others")}
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


@pytest.fixture
def run(fake):
    """Runs a test's coroutine with a guard in one event loop."""
    import asyncio

    fake.answers = [v1.VerifyResponse(valid=True, key_id="key_1", subject="user_1")]

    def run(test):
        async def main():
            async with aio.Client(fake.address, root_key=ROOT_KEY, timeout=PATIENCE) as client:
                await test(aio.Guard(client, keyspace="default"))

        asyncio.run(main())

    return run


def test_the_middleware_lets_through(run, fake):
    @run
    async def _(guard):
        sent = await ask(GuardMiddleware(echo, guard), GOOD, state={"others": 1})
        assert answer(sent) == (200, {}, {"key_id": "key_1", "others": 1})
        assert await ask(GuardMiddleware(echo, guard), GOOD, **WEBSOCKET) == [{"type": "websocket.accept"}]
        assert [request.client_ip for request in fake.requests] == ["192.0.2.1"] * 2


def test_the_middleware_refuses(run, fake):
    @run
    async def _(guard):
        app = GuardMiddleware(echo, guard)
        assert is_refusal(await ask(app), Refusal("missing_key"))
        twice = [(b"x-api-key", b"a"), (b"x-api-key", b"b")]
        assert is_refusal(await ask(app, twice), Refusal("ambiguous_key"))
        assert is_refusal(await ask(app, [(b"x-api-key", "schlüssel".encode())]), Refusal("invalid_key"))
        assert await ask(app, **WEBSOCKET) == [{"type": "websocket.close"}]
        sent = await ask(app, **WEBSOCKET, **DENIAL)
        assert [message["type"] for message in sent] == [
            "websocket.http.response.start",
            "websocket.http.response.body",
        ]
        assert is_refusal(sent, Refusal("missing_key"))
        assert not fake.requests


def test_the_middleware_leaves_the_lifespan_alone(run):
    @run
    async def _(guard):
        seen = []

        async def app(scope, receive, send):
            seen.append(scope["type"])

        await GuardMiddleware(app, guard)({"type": "lifespan"}, None, None)
        assert seen == ["lifespan"]


def test_the_middleware_and_the_address(run, fake):
    @run
    async def _(guard):
        forwarded = [(b"x-forwarded-for", b"10.1.2.3"), *GOOD]
        await ask(GuardMiddleware(echo, guard), forwarded)
        await ask(GuardMiddleware(echo, guard), forwarded, client=None)
        finds = GuardMiddleware(echo, guard, client_ip=lambda scope: lines(scope, b"x-forwarded-for")[-1])
        await ask(finds, forwarded)
        assert [request.client_ip for request in fake.requests] == ["192.0.2.1", "", "10.1.2.3"]


@pytest.fixture
def guard(kind, connect, fake):
    fake.answers = [v1.VerifyResponse(valid=True, key_id="key_1", subject="user_1")]
    return kind.Guard(connect(fake.address), keyspace="default")


def api(guard, *, is_installed=True, **options):
    app = FastAPI()
    if is_installed:
        install(app)
    Known = Annotated[Identity, Depends(dependency(guard, **options))]
    router = APIRouter()

    @router.get("/orders")
    def orders(identity: Known):
        return {"key_id": identity.key_id}

    @router.websocket("/live")
    async def live(websocket: WebSocket, identity: Known):
        await websocket.accept()
        await websocket.send_text(str(identity.subject))

    app.include_router(router)
    return app


def asked(kind, app, *args, **options):
    import asyncio

    if kind.name == "asyncio":
        return kind.run(lambda: ask(app, *args, **options))
    return asyncio.run(ask(app, *args, **options))


def test_fastapi_lets_through(kind, guard, fake):
    app = api(guard)
    assert answer(asked(kind, app, GOOD))[::2] == (200, {"key_id": "key_1"})
    sent = asked(kind, app, GOOD, path="/live", **WEBSOCKET)
    assert [message["type"] for message in sent][:2] == ["websocket.accept", "websocket.send"]
    assert sent[1]["text"] == "user_1"
    assert [request.client_ip for request in fake.requests] == ["192.0.2.1"] * 2


def test_fastapi_refuses(kind, guard, fake):
    app = api(guard)
    assert is_refusal(asked(kind, app), Refusal("missing_key"))
    assert is_refusal(asked(kind, app, path="/live", **WEBSOCKET, **DENIAL), Refusal("missing_key"))
    assert asked(kind, app, path="/live", **WEBSOCKET) == [{"type": "websocket.close"}]
    assert not fake.requests
    fake.answers = [v1.VerifyResponse(verdict=v1.VERDICT_INSUFFICIENT_SCOPE, missing_scopes=["a", "b"])]
    assert is_refusal(asked(kind, app, GOOD), Refusal("insufficient_scope", missing_scopes=["a", "b"]))
    fake.answers = [v1.VerifyResponse(verdict=v1.VERDICT_RATE_LIMITED)]
    assert is_refusal(asked(kind, app, GOOD), Refusal("rate_limited", retry_after=1))


def test_fastapi_refuses_without_install_too(kind, guard):
    status, headers, body = answer(asked(kind, api(guard, is_installed=False)))
    refusal = Refusal("missing_key")
    assert (status, headers["www-authenticate"]) == (401, refusal.headers["WWW-Authenticate"])
    assert body == {"detail": refusal.message}


def test_fastapi_and_the_address(kind, guard, fake):
    forwarded = [(b"x-forwarded-for", b"10.1.2.3"), *GOOD]
    asked(kind, api(guard), forwarded)
    asked(kind, api(guard, client_ip=lambda connection: connection.headers["x-forwarded-for"]), forwarded)
    assert [request.client_ip for request in fake.requests] == ["192.0.2.1", "10.1.2.3"]
