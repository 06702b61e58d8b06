"""Asks an app over gRPC."""

from dataclasses import dataclass

import grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from . import tables
from .failure import Failure
from .sameness import difference, parsed
from .tables import Case

TIMEOUT_SECONDS = 60
CODES = {200: "OK"}


@dataclass(frozen=True)
class Answer:
    """What came back."""

    code: str
    message: str
    identity: list[str]
    details: list
    raw: str


class Grpc:
    """Asks one port."""

    def __init__(self, address: str) -> None:
        # What the guard answers is to be seen, and nothing that comes after it.
        self._channel = grpc.insecure_channel(address, options=[("grpc.enable_retries", 0)])
        self._health = health_pb2_grpc.HealthStub(self._channel)

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def ask(self, case: Case) -> Answer:
        """Sends a request; a Failure if gRPC does not even send it."""
        metadata = [(name.lower(), value) for name, value in case.headers]
        try:
            response, call = self._health.Check.with_call(
                health_pb2.HealthCheckRequest(), metadata=metadata, timeout=TIMEOUT_SECONDS
            )
        except grpc.RpcError as error:
            return _answer(error, _details(error))
        except ValueError as error:
            raise Failure(f"gRPC does not send this: {error}") from None
        if response.status != health_pb2.HealthCheckResponse.SERVING:
            raise Failure("the answer is not SERVING")
        return _answer(call, [])


def _answer(call, details: list) -> Answer:
    leading = list(call.initial_metadata() or [])
    identity = [value for name, value in leading if name == "x-identity"]
    raw = f"{leading} {call.trailing_metadata()} {call.details()} {details}"
    return Answer(call.code().name, call.details() or "", identity, details, raw)


def _details(error: grpc.RpcError) -> list:
    """What the status carries, as messages; what nobody knows as it is."""
    try:
        status = rpc_status.from_call(error)
    except ValueError as mismatch:
        raise Failure(f"grpc-status-details-bin contradicts the status: {mismatch}") from None
    found = []
    for packed in status.details if status else []:
        known = [
            kind() for kind in (error_details_pb2.ErrorInfo, error_details_pb2.RetryInfo) if packed.Is(kind.DESCRIPTOR)
        ]
        for message in known:
            packed.Unpack(message)
        found += known or [packed]
    return found


def complaints(expected: dict, answer: Answer) -> list[str]:
    """What of an answer is not as expected."""
    if "refusal" in expected:
        return _of_refusal(tables.refusal(expected), answer)
    found = list(difference("code", CODES[expected.get("status", 200)], answer.code))
    if "identity" in expected:
        found += difference("x-identity", [tables.identity(expected)], [parsed(value) for value in answer.identity])
    return found


def _of_refusal(refusal: tables.Refusal, answer: Answer) -> list[str]:
    found = list(difference("code", refusal.grpc, answer.code))
    found += difference("message", refusal.message, answer.message)
    info = {"reason": refusal.code.upper(), "domain": "portcullis.guard", "metadata": {}}
    if refusal.missing_scopes:
        info["metadata"]["missing_scopes"] = " ".join(refusal.missing_scopes)
    told = [detail for detail in answer.details if isinstance(detail, error_details_pb2.ErrorInfo)]
    told = [{"reason": one.reason, "domain": one.domain, "metadata": dict(one.metadata)} for one in told]
    found += difference("ErrorInfo", [info], told)
    retry = [detail for detail in answer.details if isinstance(detail, error_details_pb2.RetryInfo)]
    found += _of_retry_info(refusal.retry_after, [one.retry_delay.ToTimedelta().total_seconds() for one in retry])
    return found


def _of_retry_info(expected: list[int] | None, got: list[float]) -> list[str]:
    if expected is None:
        return list(difference("RetryInfo", [], got))
    if len(got) == 1 and expected[0] <= got[0] <= expected[1] and got[0].is_integer():
        return []
    return [f"RetryInfo: expected whole seconds from {expected[0]} to {expected[1]}, got {got}"]
