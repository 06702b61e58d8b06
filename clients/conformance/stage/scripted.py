"""A server that answers what no Portcullis does today, or does at will: the key that is presented says what."""

import threading
from collections import Counter
from concurrent import futures
from typing import Self

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
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
# The status, how often it comes before all is well, and what its RetryInfo says in milliseconds.
ALWAYS = 1_000_000
ERRORS = {
    "busy-for-7200-ms": (grpc.StatusCode.RESOURCE_EXHAUSTED, ALWAYS, 7_200),
    "busy-for-10-minutes": (grpc.StatusCode.RESOURCE_EXHAUSTED, ALWAYS, 600_000),
    "busy-once": (grpc.StatusCode.RESOURCE_EXHAUSTED, 1, None),
    "internal-once": (grpc.StatusCode.INTERNAL, 1, None),
    "unavailable-3-times": (grpc.StatusCode.UNAVAILABLE, 3, None),
    "unavailable-4-times": (grpc.StatusCode.UNAVAILABLE, 4, None),
}


class Scripted(verification_service_pb2_grpc.VerificationServiceServicer):
    """Counts the calls about every key."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()
        self._counting = threading.Lock()
        # Clients may send as many pings as they like, as Portcullis lets them.
        self._server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.http2.max_ping_strikes", 0)])
        verification_service_pb2_grpc.add_VerificationServiceServicer_to_server(self, self._server)
        self.address = f"{ports.HOST}:{self._server.add_insecure_port(f'{ports.HOST}:0')}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_) -> None:
        self._server.stop(None).wait()

    def forget(self) -> None:
        """Counts from the beginning."""
        with self._counting:
            self._calls.clear()

    def Verify(self, request, context) -> VerifyResponse:
        """Answers by the script; a key that it does not know is good, and its subject says how often it was asked about."""
        with self._counting:
            self._calls[request.key] += 1
            call = self._calls[request.key]
        if request.key in ERRORS:
            code, times, retry_ms = ERRORS[request.key]
            if call <= times:
                context.abort_with_status(_status(code, retry_ms))
        if request.key in VERDICTS:
            return VERDICTS[request.key]
        good = GOOD | {"subject": f"user_{call}"}
        return VerifyResponse(verdict=verification_service_pb2.VERDICT_VALID, **good)


def _status(code: grpc.StatusCode, retry_ms: int | None) -> grpc.Status:
    details = []
    if retry_ms is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(retry_ms)
        packed = any_pb2.Any()
        packed.Pack(error_details_pb2.RetryInfo(retry_delay=delay))
        details.append(packed)
    return rpc_status.to_status(status_pb2.Status(code=code.value[0], message="as scripted", details=details))
