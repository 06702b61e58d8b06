"""The client and the guard for asyncio."""

from collections.abc import Sequence
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, cast

import grpc
import grpc.aio

from . import v1
from ._channel import RootKeyChannel
from ._diagnosis import Diagnosis
from ._policy import Policy
from ._readiness import ReadinessMonitor
from ._settings import Settings
from .identity import Identity

if TYPE_CHECKING:
    from .v1.api_key_service_pb2_grpc import ApiKeyServiceAsyncStub
    from .v1.audit_service_pb2_grpc import AuditServiceAsyncStub
    from .v1.keyspace_service_pb2_grpc import KeyspaceServiceAsyncStub
    from .v1.replica_service_pb2_grpc import ReplicaServiceAsyncStub
    from .v1.usage_service_pb2_grpc import UsageServiceAsyncStub
    from .v1.verification_service_pb2_grpc import VerificationServiceAsyncStub


class Client:
    """`portcullis.Client`, with calls to await. It may be made before the event loop, and belongs to that of its first
    call.
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
        """As for `portcullis.Client`."""
        self._settings = Settings(
            address,
            root_key=root_key,
            ca_certificates=ca_certificates,
            allow_plaintext=allow_plaintext,
            timeout=timeout,
        )
        self._readiness = ReadinessMonitor(self._settings)
        self._diagnosis = Diagnosis(self._settings)

    @cached_property
    def api_keys(self) -> "ApiKeyServiceAsyncStub":
        """The keys."""
        return v1.ApiKeyServiceStub(self._stub_channel)

    @cached_property
    def audit(self) -> "AuditServiceAsyncStub":
        """What was changed, and by whom."""
        return v1.AuditServiceStub(self._stub_channel)

    @cached_property
    def keyspaces(self) -> "KeyspaceServiceAsyncStub":
        """The keyspaces."""
        return v1.KeyspaceServiceStub(self._stub_channel)

    @cached_property
    def replicas(self) -> "ReplicaServiceAsyncStub":
        """The replicas of the server."""
        return v1.ReplicaServiceStub(self._stub_channel)

    @cached_property
    def usage(self) -> "UsageServiceAsyncStub":
        """What was verified, counted."""
        return v1.UsageServiceStub(self._stub_channel)

    @cached_property
    def verification(self) -> "VerificationServiceAsyncStub":
        """May this key do this?"""
        return v1.VerificationServiceStub(self._stub_channel)

    async def close(self) -> None:
        """Ends all calls and connections."""
        self._readiness.close()
        await self._channel.close()

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @cached_property
    def _channel(self) -> grpc.aio.Channel:
        # A channel takes the event loop that runs when it is made, so it is made when the first call is.
        settings = self._settings
        if settings.credentials is None:
            return grpc.aio.insecure_channel(settings.target, settings.options)
        return grpc.aio.secure_channel(settings.target, settings.credentials, settings.options)

    @property
    def _stub_channel(self) -> grpc.aio.Channel:
        settings = self._settings
        return cast(
            grpc.aio.Channel,
            RootKeyChannel(self._channel, settings.metadata, settings.timeout, self._diagnosis, is_async=True),
        )


class Guard(Policy[Client]):
    """`portcullis.Guard`, with a check to await."""

    async def check(self, authorization: Sequence[str], x_api_key: Sequence[str], client_ip: str | None) -> Identity:
        """As `portcullis.Guard.check`."""
        request = self.request(authorization, x_api_key, client_ip)
        try:
            response = await self.client.verification.Verify(request)
        except Exception as error:
            return self.unanswered(error, self.client._readiness)
        return self.answered(response)
