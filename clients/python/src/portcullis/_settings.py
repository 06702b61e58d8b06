"""What a client is made of, whether it blocks or not."""

import json
import os
from collections.abc import Sequence
from typing import Any

import grpc

from ._addresses import target
from ._trust import system_certificates

_SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.05s",
                "maxBackoff": "0.5s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
}

_TIMEOUT_SECONDS_MAX = 24 * 60 * 60
_OPTIONS = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.enable_retries", 1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # A ping of gRPC's own that is under way, and waited for this long, takes the place of the keepalive's.
    ("grpc.http2.ping_timeout_ms", 10_000),
    # A connection that nobody uses is tried as well, and without an end: its death is found before a call needs it.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # gRPC's own would leave a replica that is back alone for up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # In spite of its name, how long a connection may take to be made.
    ("grpc.min_reconnect_backoff_ms", 5_000),
)
_HEALTH_OPTIONS = (
    # The connections of the client may be full of calls that wait: health has its own.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    # A replica that is away is looked for again by the next check.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.min_reconnect_backoff_ms", 5_000),
)


def _plaintext_allowed(variable: str) -> bool:
    if variable not in ("true", "1", "yes", "on", "", "false", "0", "no", "off"):
        raise ValueError(f"PORTCULLIS_ALLOW_PLAINTEXT must be true or false; is {variable!r}")
    return variable in ("true", "1", "yes", "on")


class Settings:
    """How to reach Portcullis and as whom. The root key is in no text that it makes of itself."""

    def __init__(
        self,
        address: str | Sequence[str] | None,
        *,
        root_key: str | None,
        ca_certificates: bytes | None,
        allow_plaintext: bool | None,
        timeout: float,
    ) -> None:
        """See `portcullis.Client`."""
        if allow_plaintext is None:
            allow_plaintext = _plaintext_allowed(os.environ.get("PORTCULLIS_ALLOW_PLAINTEXT", ""))
        if not isinstance(allow_plaintext, bool):
            # Of a variable, "false" would be as good as True.
            raise TypeError("allow_plaintext must be True or False")
        root_key = (root_key if root_key is not None else os.environ.get("PORTCULLIS_ROOT_KEY", "")).strip()
        if not root_key:
            raise ValueError("there is no root key: give root_key, or set PORTCULLIS_ROOT_KEY")
        if not all("!" <= character <= "~" for character in root_key):
            # gRPC would say so too, but with the key in the error.
            raise ValueError("the root key has characters that a header cannot carry")
        if not 0 < timeout <= _TIMEOUT_SECONDS_MAX:
            raise ValueError("timeout must be more than 0 seconds and at most a day")
        dialled = target(address)
        if not (dialled.is_tls or dialled.is_local or allow_plaintext):
            raise ValueError(
                "refusing to send the root key to another machine in plain text: use https://, or allow_plaintext=True "
                "or PORTCULLIS_ALLOW_PLAINTEXT=true if something else encrypts the way there"
            )
        if ca_certificates is not None and b"-----BEGIN CERTIFICATE-----" not in ca_certificates:
            # gRPC would trust nobody, and every server would seem to be down.
            raise ValueError("ca_certificates has no certificate in PEM form")

        self.target = dialled.name
        self.hosts = dialled.hosts
        self.authority = dialled.authority
        self.options: list[tuple[str, Any]] = list(_OPTIONS)
        self.health_options: list[tuple[str, Any]] = list(_HEALTH_OPTIONS)
        if dialled.authority is not None:
            self.options.append(("grpc.default_authority", dialled.authority))
        if len(dialled.hosts) > 1 or not dialled.is_tls:
            # A proxy could read the root key; and it would be asked for a list as if that were one name.
            self.options.append(("grpc.enable_http_proxy", 0))
            self.health_options.append(("grpc.enable_http_proxy", 0))
        self.credentials: grpc.ChannelCredentials | None = None
        if dialled.is_tls:
            self.credentials = grpc.ssl_channel_credentials(ca_certificates or system_certificates())
        self.ca_certificates = ca_certificates
        self.metadata = (("authorization", f"Bearer {root_key}"),)
        self.timeout = timeout
