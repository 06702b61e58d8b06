"""What a guard asks Portcullis, and what it makes of the answer."""

import logging
import math
import socket
import time
from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from . import v1
from ._credential import Unusable, read_key
from ._demand import ANY_KEYSPACE, check_cost, check_keyspace, check_scopes
from ._readiness import ReadinessMonitor
from .identity import Identity
from .refusal import Refusal

_log = logging.getLogger("portcullis")

_CODES = {
    v1.VERDICT_MALFORMED: "invalid_key",
    v1.VERDICT_NOT_FOUND: "invalid_key",
    v1.VERDICT_REVOKED: "revoked_key",
    v1.VERDICT_EXPIRED: "expired_key",
    v1.VERDICT_DISABLED: "disabled_key",
    v1.VERDICT_IP_NOT_ALLOWED: "ip_not_allowed",
    v1.VERDICT_INSUFFICIENT_SCOPE: "insufficient_scope",
    v1.VERDICT_RATE_LIMITED: "rate_limited",
    v1.VERDICT_CREDITS_EXHAUSTED: "credits_exhausted",
}
_DOMAIN = "portcullis.v1"
_RETRY_SECONDS_MAX = 60

Client = TypeVar("Client")
Detail = TypeVar("Detail", ErrorInfo, RetryInfo)


class Policy(Generic[Client]):
    """What all guards share."""

    def __init__(
        self,
        client: Client,
        *,
        scopes: Iterable[str] = (),
        any_of_scopes: Iterable[str] = (),
        keyspace: str = "",
        cost: int | None = None,
        realm: str = "api",
        dangerously_allow_when_unavailable: bool = False,
    ) -> None:
        """A guard that asks by `client`.

        Args:
            client: where to ask.
            scopes: what the key must all have; up to 100.
            any_of_scopes: of these the key must have one; up to 100.
            keyspace: the one that the key must belong to, such as "default"; or ANY_KEYSPACE. It must be given.
            cost: how many credits a request takes, 0 to 1,000,000,000; None: 1.
            realm: what the challenges of refusals name.
            dangerously_allow_when_unavailable: let requests with any key pass, unverified, in an outage: while
                Portcullis cannot be reached, and where it does not answer in time, or answers UNAVAILABLE, while no
                replica of it is ready.

        Raises:
            TypeError: a str is given where several are meant, or where True or False is.
            ValueError: the keyspace is missing; the keyspace, a scope or the cost is none that the server knows; the
                realm is empty, or has other characters than ASCII's printable ones.
        """
        if isinstance(scopes, str) or isinstance(any_of_scopes, str):
            raise TypeError("scopes and any_of_scopes are lists")
        if not isinstance(dangerously_allow_when_unavailable, bool):
            # Of a variable, "false" would be as good as True.
            raise TypeError("dangerously_allow_when_unavailable must be True or False")
        if not (realm and realm.isascii() and realm.isprintable()):
            raise ValueError("the realm must be printable ASCII, and not empty")
        scopes, any_of_scopes = [*scopes], [*any_of_scopes]
        check_keyspace(keyspace)
        check_scopes("scopes", scopes, keyspace)
        check_scopes("any_of_scopes", any_of_scopes, keyspace)
        check_cost(cost)
        self.client = client
        asked: dict[str, Any] = {"required_scopes": scopes, "any_of_scopes": any_of_scopes}
        if keyspace != ANY_KEYSPACE:
            asked["keyspace"] = keyspace
        # What is not asked for would take its time in every request.
        self._asked = {field: value for field, value in asked.items() if value}
        if cost is not None:
            self._asked["cost"] = cost
        # Here, not at the first request, protobuf finds what is of a wrong type.
        v1.VerifyRequest(**self._asked)
        self._realm = realm
        self._is_open_when_unavailable = dangerously_allow_when_unavailable

    def request(
        self, authorization: Sequence[str], x_api_key: Sequence[str], client_ip: str | None
    ) -> v1.VerifyRequest:
        """What to ask about the key in these headers. Raises Refusal if there is not one that could be a key."""
        try:
            key = read_key(authorization, x_api_key)
        except Unusable as unusable:
            raise Refusal(unusable.code, realm=self._realm) from None
        return v1.VerifyRequest(key=key, client_ip=_address(client_ip), **self._asked)

    def answered(self, response: v1.VerifyResponse) -> Identity:
        """Whose key it is. Raises Refusal if Portcullis says no."""
        if response.valid:
            return Identity(response)
        verdict = response.verdict
        raise Refusal(
            _CODES.get(verdict, "denied"),
            realm=self._realm,
            missing_scopes=response.missing_scopes if verdict == v1.VERDICT_INSUFFICIENT_SCOPE else (),
            retry_after=_until_next_use(response) if verdict == v1.VERDICT_RATE_LIMITED else None,
        )

    def unanswered(self, error: Exception, readiness: ReadinessMonitor) -> Identity:
        """Who it is taken for, if the guard is to be open in an outage. Raises Refusal if not."""
        call = error if isinstance(error, grpc.Call | grpc.aio.AioRpcError) else None
        reason = f"{call.code().name}: {call.details()}" if call else type(error).__name__
        if self._is_open_when_unavailable and call and _is_outage(call, readiness):
            _log.warning("let a request pass unverified: %s", reason)
            return Identity()
        _log.error("a key could not be verified: %s", reason)
        delay = _delay(call.trailing_metadata() if call else None)
        raise Refusal("unavailable", realm=self._realm, retry_after=delay) from error


def _address(peer: str | None) -> str:
    """`peer` if it is an IP address, or nothing: of a Unix socket, or in a test, it may be anything."""
    # The zone of a link-local address means nothing on another machine.
    address = (peer or "").partition("%")[0]
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    except (OSError, ValueError):
        return ""
    return address


def _until_next_use(response: v1.VerifyResponse) -> int:
    at = response.rate_limit.retry_time
    return max(1, math.ceil(at.seconds + at.nanos / 1e9 - time.time()))


def _is_outage(call: Any, readiness: ReadinessMonitor) -> bool:
    """Whether a call failed because Portcullis is away.

    A caller can make single calls slow, such as by keys that take long to check: those fail while Portcullis is well.
    """
    if call.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return readiness.report_failure()
    if call.code() is grpc.StatusCode.UNAVAILABLE:
        # Of a connection; or else Portcullis itself answered.
        info = _detail(call.trailing_metadata(), ErrorInfo())
        return info.domain != _DOMAIN or readiness.report_failure()
    return False


def _delay(trailers: Any) -> int:
    """What the first RetryInfo of a failed call says, in whole seconds."""
    info = _detail(trailers, RetryInfo())
    delay: float = info.retry_delay.seconds + info.retry_delay.nanos / 1e9
    return min(max(1, math.ceil(delay)), _RETRY_SECONDS_MAX)


def _detail(trailers: Any, detail: Detail) -> Detail:
    """The first detail of that type that a failed call carries; empty if there is none."""
    try:
        for name, value in trailers or ():
            if name == "grpc-status-details-bin":
                for packed in Status.FromString(value).details:
                    if packed.Unpack(detail):
                        return detail
    except DecodeError:
        # Whatever sits between may have garbled it; then it is as without.
        detail.Clear()
    return detail
