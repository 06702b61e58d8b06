"""One guarded route for each profile, on the surface that the argument names: see ../../conformance/README.md."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI

import portcullis
from portcullis import aio, asgi
from portcullis.fastapi import dependency, install

Connect = Callable[..., Any]
Surface = Callable[[dict[str, Any]], asgi.App]


def shown(identity: portcullis.Identity) -> dict[str, Any]:
    names = ("authenticated", "key_id", "keyspace", "subject", "user_id", "org_id", "scopes", "claims")
    return {name: getattr(identity, name) for name in names}


def fastapi(guards: dict[str, Any]) -> asgi.App:
    app = FastAPI()
    install(app)
    for name, guard in guards.items():

        def route(identity: Annotated[portcullis.Identity, Depends(dependency(guard))]) -> dict[str, Any]:
            return shown(identity)

        app.add_api_route(f"/{name}", route, methods=["GET", "POST"])
    return app


def middleware(guards: dict[str, aio.Guard]) -> asgi.App:
    async def route(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        body = json.dumps(shown(scope["state"]["identity"])).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": body})

    routes = {f"/{name}": asgi.GuardMiddleware(route, guard) for name, guard in guards.items()}

    async def app(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        await routes[scope["path"]](scope, receive, send)

    return app


SURFACES: dict[str, tuple[Surface, Connect, Connect]] = {
    "fastapi-async": (fastapi, aio.Client, aio.Guard),
    "fastapi-sync": (fastapi, portcullis.Client, portcullis.Guard),
    "asgi": (middleware, aio.Client, aio.Guard),
}


def error(guard: Connect, client: Any, options: dict[str, Any]) -> str | None:
    """What a guard with these options is refused with."""
    try:
        guard(client, **options)
    except ValueError as refused:
        return str(refused)
    return None


async def main() -> None:
    surface, client, guard = SURFACES[sys.argv[1]]
    stage = json.loads(Path(os.environ["PORTCULLIS_STAGE"]).read_text())
    clients = {
        name: client(server["addresses"], root_key=server["root_key"], timeout=server["timeout_ms"] / 1000)
        for name, server in stage["servers"].items()
    }
    guards = {name: guard(clients[options.pop("server")], **options) for name, options in stage["profiles"].items()}
    guard_errors = {name: error(guard, clients["main"], options) for name, options in stage["invalid_guards"].items()}
    # Its own log has whole URLs, and by default it believes the X-Forwarded-For of peers on this machine.
    config = uvicorn.Config(
        surface(guards), port=0, lifespan="off", log_level="warning", access_log=False, proxy_headers=False
    )
    listener = config.bind_socket()
    # Whoever reads the address may use it at once.
    listener.listen()
    address, port = listener.getsockname()
    addresses = {name: f"http://{address}:{port}/{name}" for name in guards}
    print(json.dumps({**addresses, "invalid_guards": guard_errors}), flush=True)

    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    await asyncio.to_thread(sys.stdin.read)
    server.should_exit = True
    await serving


asyncio.run(main())
