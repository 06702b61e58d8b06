"""The client that blocks."""

from collections.abc import Sequence
from types import TracebackType
from typing import cast

import grpc

from . import v1
from ._channel import RootKeyChannel
from ._diagnosis import Diagnosis
from ._readiness import ReadinessMonitor
from ._settings import Settings


class Client:
    """The stubs of every service, with the root key and a deadline on every call; for use by any number of threads.

    It spreads calls over all replicas, tries those that end with UNAVAILABLE up to four times in all, and finds dead
    connections. Make one for a process, after any fork, and close it at the end, or use it in a `with`.
    """

    def __init__(
        self,
        address: str | Sequence[str] | None = None,
        *,
        root_key: str | None = None,
        ca_certificates: bytes | None = None,
        allow_plaintext: bool | None = None,
        timeout: float = 1.0,
    ) -> None:
        """Connects at the first call, not now.

        Args:
            address: `http://HOST:PORT` or `https://HOST:PORT`; several are replicas, and so are all addresses that
                the name of a single one has. Default: PORTCULLIS_SERVER, then `http://127.0.0.1:50051`. The names
                among several are looked up here, once, and the certificates of all must have the name of the first.
            root_key: who calls. Default: PORTCULLIS_ROOT_KEY.
            ca_certificates: PEM, to trust instead of the system's, for `https://`.
            allow_plaintext: send the root key over `http://` to another machine too. Default: what
                PORTCULLIS_ALLOW_PLAINTEXT says, then False.
            timeout: seconds that a call without a deadline of its own may take, with its retries: more than 0, at most
                a day. Streams have none.

        Raises:
            TypeError: an option is of another type.
            ValueError: there is no root key, or an option is not as said here.
            OSError: of several addresses, no name is known.
        """
        settings = Settings(
            address,
            root_key=root_key,
            ca_certificates=ca_certificates,
            allow_plaintext=allow_plaintext,
            timeout=timeout,
        )
        if settings.credentials is None:
            self._channel = grpc.insecure_channel(settings.target, settings.options)
        else:
            self._channel = grpc.secure_channel(settings.target, settings.credentials, settings.options)
        self._readiness = ReadinessMonitor(settings)
        channel = cast(
            grpc.Channel,
            RootKeyChannel(self._channel, settings.metadata, settings.timeout, Diagnosis(settings), is_async=False),
        )
        self.api_keys = v1.ApiKeyServiceStub(channel)
        self.audit = v1.AuditServiceStub(channel)
        self.keyspaces = v1.KeyspaceServiceStub(channel)
        self.replicas = v1.ReplicaServiceStub(channel)
        self.usage = v1.UsageServiceStub(channel)
        self.verification = v1.VerificationServiceStub(channel)

    def close(self) -> None:
        """Ends all calls and connections."""
        self._readiness.close()
        self._channel.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
