"""What the root key and the deadline are put on, and what says why a connection could not be made.

Interceptors would do it too, at 20 % of what a verification takes.
"""

import asyncio
from collections.abc import Generator
from typing import Any

import grpc

from ._diagnosis import Diagnosis

Metadata = tuple[tuple[str, str], ...]


class RootKeyChannel:
    """A channel, of `grpc` or of `grpc.aio`, as the stubs see it: every call carries the root key.

    A call that has no deadline of its own gets one, unless it is a stream, which may last.
    """

    def __init__(
        self, channel: Any, metadata: Metadata, timeout: float, diagnosis: Diagnosis, *, is_async: bool
    ) -> None:
        """Over `channel`; `metadata` has the root key, and `timeout` is in seconds."""
        self._channel = channel
        self._unary = _AioUnaryCall if is_async else _UnaryCall
        self._diagnosis = diagnosis
        self._metadata = metadata
        self._timeout = timeout

    def unary_unary(self, *args: Any, **kwargs: Any) -> "_Call":
        """One request, one answer."""
        return self._unary(self._channel.unary_unary(*args, **kwargs), self._metadata, self._timeout, self._diagnosis)

    def stream_stream(self, *args: Any, **kwargs: Any) -> "_Call":
        """Many requests, many answers."""
        return _Call(self._channel.stream_stream(*args, **kwargs), self._metadata, None)


class _Call:
    """One method: `grpc.UnaryUnaryMultiCallable` or one of its kin."""

    __slots__ = ("_call", "_metadata", "_timeout")

    def __init__(self, call: Any, metadata: Metadata, timeout: float | None) -> None:
        self._call = call
        self._metadata = metadata
        self._timeout = timeout

    def __call__(self, request: Any = None, timeout: float | None = None, metadata: Any = (), **rest: Any) -> Any:
        return self._call(
            request,
            timeout=self._timeout if timeout is None else timeout,
            metadata=(*self._metadata, *metadata) if metadata else self._metadata,
            **rest,
        )

    def with_call(self, request: Any, timeout: float | None = None, metadata: Any = (), **rest: Any) -> Any:
        return self._call.with_call(request, **self._filled(timeout, metadata), **rest)

    def future(self, request: Any, timeout: float | None = None, metadata: Any = (), **rest: Any) -> Any:
        return self._call.future(request, **self._filled(timeout, metadata), **rest)

    def _filled(self, timeout: float | None, metadata: Any) -> dict[str, Any]:
        return {
            "timeout": self._timeout if timeout is None else timeout,
            "metadata": (*self._metadata, *metadata) if metadata else self._metadata,
        }


class _UnaryCall(_Call):
    """One that blocks."""

    __slots__ = ("_diagnosis",)

    def __init__(self, call: Any, metadata: Metadata, timeout: float, diagnosis: Diagnosis) -> None:
        super().__init__(call, metadata, timeout)
        self._diagnosis = diagnosis

    def __call__(self, request: Any = None, timeout: float | None = None, metadata: Any = (), **rest: Any) -> Any:
        try:
            return super().__call__(request, timeout, metadata, **rest)
        except grpc.RpcError as error:
            if diagnosed := self._diagnosis.of(error):
                raise diagnosed from error
            raise

    def with_call(self, request: Any, timeout: float | None = None, metadata: Any = (), **rest: Any) -> Any:
        try:
            return super().with_call(request, timeout, metadata, **rest)
        except grpc.RpcError as error:
            if diagnosed := self._diagnosis.of(error):
                raise diagnosed from error
            raise


class _AioUnaryCall(_UnaryCall):
    """One to await."""

    __slots__ = ()

    def __call__(self, request: Any = None, timeout: float | None = None, metadata: Any = (), **rest: Any) -> Any:
        return _Awaitable(_Call.__call__(self, request, timeout, metadata, **rest), self._diagnosis)


class _Awaitable:
    """`grpc.aio.UnaryUnaryCall`, which it is in all but awaiting."""

    __slots__ = ("_call", "_diagnosis")

    def __init__(self, call: Any, diagnosis: Diagnosis) -> None:
        self._call = call
        self._diagnosis = diagnosis

    def __await__(self) -> Generator[Any, None, Any]:
        try:
            return (yield from self._call.__await__())
        except grpc.RpcError as error:
            if diagnosed := (yield from asyncio.to_thread(self._diagnosis.of, error).__await__()):
                raise diagnosed from error
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)
