"""The guard as a dependency of FastAPI."""

from collections.abc import Awaitable, Callable
from typing import Any, cast, overload

from fastapi import FastAPI, HTTPException
from fastapi.requests import HTTPConnection, Request
from fastapi.responses import Response

from . import aio
from .asgi import Answer, lines, peer
from .guard import Guard
from .identity import Identity
from .refusal import Refusal


class Refused(HTTPException):
    """A refusal on its way to the answer.

    Where `install` was forgotten, FastAPI answers it itself: with the same status and headers, but with another body.
    """

    def __init__(self, refusal: Refusal) -> None:
        """With `refusal`."""
        super().__init__(refusal.status, refusal.message, refusal.headers)
        self.refusal = refusal


def install(app: FastAPI) -> None:
    """Has `app` answer what its guards refuse."""
    app.add_exception_handler(Refused, _answer)


async def _answer(request: Request, refused: Exception) -> Response:
    # Starlette calls what a handler returns as an ASGI application, be it a Response or not.
    return cast(Response, Answer(cast(Refused, refused).refusal))


def _credentials(connection: HTTPConnection) -> tuple[list[str], list[str]]:
    return lines(connection.scope, b"authorization"), lines(connection.scope, b"x-api-key")


def _peer(connection: HTTPConnection) -> str | None:
    return peer(connection.scope)


ClientIp = Callable[[HTTPConnection], str | None]


@overload
def dependency(guard: Guard, *, client_ip: ClientIp = ...) -> Callable[[HTTPConnection], Identity]: ...
@overload
def dependency(guard: aio.Guard, *, client_ip: ClientIp = ...) -> Callable[[HTTPConnection], Awaitable[Identity]]: ...
def dependency(guard: Guard | aio.Guard, *, client_ip: ClientIp = _peer) -> Callable[[HTTPConnection], Any]:
    """What to put into `Depends`, for routes, routers and WebSockets: it returns the Identity.

    A `portcullis.Guard` runs in FastAPI's pool of threads, a `portcullis.aio.Guard` on the event loop.

    Args:
        guard: who decides.
        client_ip: finds the address of the client, without a port, where that is not the peer's.
    """
    if isinstance(guard, aio.Guard):

        async def check_on_the_loop(connection: HTTPConnection) -> Identity:
            try:
                return await guard.check(*_credentials(connection), client_ip(connection))
            except Refusal as refusal:
                raise Refused(refusal) from refusal

        return check_on_the_loop

    def check_in_a_thread(connection: HTTPConnection) -> Identity:
        try:
            return guard.check(*_credentials(connection), client_ip(connection))
        except Refusal as refusal:
            raise Refused(refusal) from refusal

    return check_in_a_thread
