"""A server that answers what no Portcullis does today, or does at will: the key that is presented says what."""

import threading
import time
from collections import Counter
from concurrent import futures
from dataclasses import dataclass
from typing import Self

import grpc
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from portcullis.v1 import verification_service_pb2, verification_service_pb2_grpc
from portcullis.v1.verification_service_pb2 import VerifyResponse

from . import ports

GOOD = {"valid": True, "key_id": "key_1", "keyspace": "default", "subject": "user_1"}
UNKNOWN = 99

VERDICTS = {
    "unknown-verdict": VerifyResponse(verdict=UNKNOWN),
    "unknown-verdict-and-valid": VerifyResponse(verdict=UNKNOWN, **GOOD),
    "empty-verdict": VerifyResponse(),
    "verdict-valid-alone": VerifyResponse(verdict=verification_service_pb2.VERDICT_VALID),
}
ALWAYS = 1_000_000
DOMAIN = "portcullis.v1"
NEVER_ANSWERED = "never-answered"

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@dataclass(frozen=True)
class Error:
    """What a call ends with."""

    code: grpc.StatusCode
    # How often it comes before all is well.
    times: int = ALWAYS
    # What its RetryInfo says.
    retry_ms: int | None = None
    # Of its ErrorInfo, if it has one: so has every error that Portcullis makes.
    reason: str = ""
    domain: str = DOMAIN


ERRORS = {
    "busy-for-7200-ms": Error(grpc.StatusCode.RESOURCE_EXHAUSTED, retry_ms=7_200, reason="HASHING_BUSY"),
    "busy-for-10-minutes": Error(grpc.StatusCode.RESOURCE_EXHAUSTED, retry_ms=600_000),
    "busy-once": Error(grpc.StatusCode.RESOURCE_EXHAUSTED, times=1),
    "internal-once": Error(grpc.StatusCode.INTERNAL, times=1),
    "unavailable-3-times": Error(grpc.StatusCode.UNAVAILABLE, times=3),
    "unavailable-4-times": Error(grpc.StatusCode.UNAVAILABLE, times=4),
    "unavailable": Error(grpc.StatusCode.UNAVAILABLE),
    "unavailable-by-a-proxy": Error(grpc.StatusCode.UNAVAILABLE, reason="NO_UPSTREAM", domain="proxy.example"),
    "lease-over": Error(grpc.StatusCode.UNAVAILABLE, retry_ms=1_000, reason="LEASE_OVER"),
}


@dataclass(frozen=True)
class HealthCall:
    """One call of grpc.health.v1.Health/Check."""

    at: float
    service: str
    has_credential: bool


class Scripted(verification_service_pb2_grpc.VerificationServiceServicer):
    """Counts the calls about every key, and those of its health."""

    def __init__(self, readiness: int | None = SERVING) -> None:
        """`readiness` is what its health says; None: it does not answer."""
        self._readiness = readiness
        self._calls: Counter[str] = Counter()
        self._counting = threading.Lock()
        self.health_calls: list[HealthCall] = []
        # A call that is not answered keeps a thread. Clients may send as many pings as they like, as Portcullis lets
        # them.
        self._server = grpc.server(futures.ThreadPoolExecutor(64), options=[("grpc.http2.max_ping_strikes", 0)])
        verification_service_pb2_grpc.add_VerificationServiceServicer_to_server(self, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(_Health(self), self._server)
        self.address = f"{ports.HOST}:{self._server.add_insecure_port(f'{ports.HOST}:0')}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_) -> None:
        self._server.stop(None).wait()

    def Verify(self, request, context) -> VerifyResponse:
        """Answers by the script; a key that it does not know is good, and its subject says how often it was asked about."""
        with self._counting:
            self._calls[request.key] += 1
            call = self._calls[request.key]
        if request.key == NEVER_ANSWERED:
            _wait_for_the_end(context)
        error = ERRORS.get(request.key)
        if error and call <= error.times:
            context.abort_with_status(_status(error))
        if request.key in VERDICTS:
            return VERDICTS[request.key]
        good = GOOD | {"subject": f"user_{call}"}
        return VerifyResponse(verdict=verification_service_pb2.VERDICT_VALID, **good)


class _Health(health_pb2_grpc.HealthServicer):
    def __init__(self, scripted: Scripted) -> None:
        self._scripted = scripted

    def Check(self, request, context) -> health_pb2.HealthCheckResponse:
        has_credential = "authorization" in dict(context.invocation_metadata())
        self._scripted.health_calls.append(HealthCall(time.monotonic(), request.service, has_credential))
        if self._scripted._readiness is None:
            _wait_for_the_end(context)
        return health_pb2.HealthCheckResponse(status=self._scripted._readiness)


def _wait_for_the_end(context: grpc.ServicerContext) -> None:
    """Returns when the client has given up."""
    ended = threading.Event()
    if context.add_callback(ended.set):
        ended.wait()


def _status(error: Error) -> grpc.Status:
    details = []
    if error.reason:
        details.append(error_details_pb2.ErrorInfo(reason=error.reason, domain=error.domain))
    if error.retry_ms is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(error.retry_ms)
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    status = status_pb2.Status(code=error.code.value[0], message="as scripted")
    for detail in details:
        status.details.add().Pack(detail)
    return rpc_status.to_status(status)
