"""The guard for any ASGI application, without a framework."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .aio import Guard
from .refusal import Refusal

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def peer(scope: Scope) -> str | None:
    """The address of the peer, as the server knows it; None if it does not."""
    client = scope.get("client")
    return client[0] if client else None


def lines(scope: Scope, header: bytes) -> list[str]:
    """All lines of `header`, whose name is in small letters, as those of the scope are."""
    return [value.decode("latin-1") for name, value in scope["headers"] if name == header]


class GuardMiddleware:
    """Lets requests and WebSockets through to `app` if `guard` does, with the identity as `scope["state"]["identity"]`.

    In Starlette and FastAPI that is `request.state.identity`. A refused WebSocket is closed before it is accepted.
    """

    def __init__(self, app: App, guard: Guard, *, client_ip: Callable[[Scope], str | None] = peer) -> None:
        """`client_ip` finds the address of the client, without a port, where that is not the peer's."""
        self._app = app
        self._guard = guard
        self._client_ip = client_ip

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        authorization, x_api_key = lines(scope, b"authorization"), lines(scope, b"x-api-key")
        try:
            identity = await self._guard.check(authorization, x_api_key, self._client_ip(scope))
        except Refusal as refusal:
            return await Answer(refusal)(scope, receive, send)
        await self._app({**scope, "state": {**scope.get("state", {}), "identity": identity}}, receive, send)


class Answer:
    """The ASGI application that answers with a refusal."""

    def __init__(self, refusal: Refusal) -> None:
        """With `refusal`."""
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, or closes one WebSocket."""
        prefix = ""
        if scope["type"] == "websocket":
            if "websocket.http.response" not in scope.get("extensions", {}):
                # The server answers with a bare 403.
                return await send({"type": "websocket.close"})
            prefix = "websocket."
        body = self._refusal.body
        headers = {**self._refusal.headers, "Content-Length": str(len(body))}
        await send(
            {
                "type": f"{prefix}http.response.start",
                "status": self._refusal.status,
                "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            }
        )
        await send({"type": f"{prefix}http.response.body", "body": body})
