"""What the root key and the deadline are put on.

Interceptors would do it too, at 20 % of what a verification takes.
"""

from typing import Any

Metadata = tuple[tuple[str, str], ...]


class RootKeyChannel:
    """A channel, of `grpc` or of `grpc.aio`, as the stubs see it: every call carries the root key.

    A call that has no deadline of its own gets one, unless it is a stream, which may last.
    """

    def __init__(self, channel: Any, metadata: Metadata, timeout: float) -> None:
        """Over `channel`; `metadata` has the root key, and `timeout` is in seconds."""
        self._channel = channel
        self._metadata = metadata
        self._timeout = timeout

    def unary_unary(self, *args: Any, **kwargs: Any) -> "_Call":
        """One request, one answer."""
        return _Call(self._channel.unary_unary(*args, **kwargs), self._metadata, self._timeout)

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
