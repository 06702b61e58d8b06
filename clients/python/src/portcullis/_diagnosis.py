"""Why a connection could not be made.

gRPC for Python does not tell the wrong scheme of an address from a connection that is lost.
"""

import socket
import ssl
import threading
import time
from typing import Any

import grpc

from ._settings import Settings

PROBE_SECONDS = 0.5
"""How long a probe of all replicas may take."""
INTERVAL_SECONDS = 5.0
"""Replicas are probed at most once in this time. What was found is told until then."""

# A Portcullis with TLS answers plaintext with a GOAWAY, after which gRPC connects again until the deadline.
_SUSPECT = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
# As OpenSSL calls an answer that is not of TLS.
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")
# As OpenSSL numbers a certificate whose issuer is not known, or which signs itself.
_UNTRUSTED = (2, 18, 19, 20, 21)


class ConnectionFailure(grpc.RpcError, grpc.Call):
    """A call whose connection could not be made, with a reason that says what to do."""

    def __init__(self, error: Any, reason: str) -> None:
        """For the error of gRPC."""
        super().__init__(f"{error.code()}: {reason}")
        self._error = error
        self._reason = reason

    def code(self) -> grpc.StatusCode:
        """That of the error."""
        code: grpc.StatusCode = self._error.code()
        return code

    def details(self) -> str:
        """What to do."""
        return self._reason

    def debug_error_string(self) -> str:
        """What gRPC says."""
        return str(self._error.debug_error_string())

    def initial_metadata(self) -> Any:
        """That of the error."""
        return self._error.initial_metadata()

    def trailing_metadata(self) -> Any:
        """That of the error."""
        return self._error.trailing_metadata()

    def is_active(self) -> bool:
        """The call has ended."""
        return False

    def time_remaining(self) -> float:
        """The call has ended."""
        return 0.0

    def cancel(self) -> bool:
        """The call has ended."""
        return False

    def add_callback(self, callback: Any) -> bool:
        """The call has ended."""
        return False


class Diagnosis:
    """Looks at the replicas after a call has failed, and never before."""

    def __init__(self, settings: Settings) -> None:
        """For the replicas that the settings name."""
        self._settings = settings
        self._lock = threading.Lock()
        self._reason: str | None = None
        self._until = 0.0

    def of(self, error: Any) -> Exception | None:
        """The error to raise instead; None if there is nothing to add. May take as long as a probe."""
        reason = self._looked() if _is_of_connection(error) else None
        if reason is None:
            return None
        if isinstance(error, grpc.aio.AioRpcError):
            return grpc.aio.AioRpcError(
                error.code(),
                error.initial_metadata(),
                error.trailing_metadata(),
                reason,
                error.debug_error_string(),
            )
        return ConnectionFailure(error, reason)

    def _looked(self) -> str | None:
        # Whoever comes meanwhile does not wait.
        if self._lock.acquire(blocking=False):
            try:
                if time.monotonic() >= self._until:
                    self._reason = self._probe()
                    self._until = time.monotonic() + INTERVAL_SECONDS
            finally:
                self._lock.release()
        return self._reason

    def _probe(self) -> str | None:
        end = time.monotonic() + PROBE_SECONDS
        for host, port in self._settings.hosts:
            left = end - time.monotonic()
            if left <= 0:
                break
            at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            try:
                with socket.create_connection((host, port), left) as connection:
                    connection.settimeout(left)
                    reason = (
                        self._of_tls(connection, host, at) if self._settings.credentials else _of_plain(connection, at)
                    )
            except (OSError, ValueError):
                continue
            if reason:
                return reason
        return None

    def _of_tls(self, connection: socket.socket, host: str, at: str) -> str | None:
        pem = self._settings.ca_certificates
        context = ssl.create_default_context(cadata=pem.decode() if pem else None)
        context.set_alpn_protocols(["h2"])
        try:
            context.wrap_socket(connection, server_hostname=host).close()
        except ssl.SSLCertVerificationError as error:
            if error.verify_code in _UNTRUSTED:
                return (
                    f"the certificate of {at} is not signed by an authority that is trusted here: give its CA by "
                    "ca_certificates"
                )
        except ssl.SSLError as error:
            if error.reason in _NO_TLS:
                return (
                    f"the server at {at} does not speak TLS: use http://{at}, and allow_plaintext=True or "
                    "PORTCULLIS_ALLOW_PLAINTEXT=true if it is another machine"
                )
        return None


def _of_plain(connection: socket.socket, at: str) -> str | None:
    # Whose certificate it is does not matter: nothing is sent.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        context.wrap_socket(connection).close()
    except ssl.SSLError:
        return None
    return f"the server at {at} speaks TLS: use https://{at}"


def _is_of_connection(error: Any) -> bool:
    """Whether no server answered the call. The errors of Portcullis have details."""
    if error.code() not in _SUSPECT:
        return False
    return all(name != "grpc-status-details-bin" for name, _ in error.trailing_metadata() or ())
