"""Why a request may not pass, and how to tell its sender."""

import json
from collections.abc import Sequence
from typing import NamedTuple


class _Kind(NamedTuple):
    status: int
    message: str
    challenge: str | None = None
    """The error of RFC 6750."""


_KINDS = {
    "missing_key": _Kind(401, "An API key is needed, as Authorization: Bearer or X-API-Key."),
    "ambiguous_key": _Kind(401, "More than one credential was sent.", "invalid_request"),
    "invalid_key": _Kind(401, "The API key is not valid.", "invalid_token"),
    "revoked_key": _Kind(401, "The API key was revoked.", "invalid_token"),
    "expired_key": _Kind(401, "The API key has expired.", "invalid_token"),
    "disabled_key": _Kind(401, "The API key is switched off.", "invalid_token"),
    "ip_not_allowed": _Kind(403, "The API key may not be used from this address."),
    "insufficient_scope": _Kind(403, "The API key lacks a scope that this needs.", "insufficient_scope"),
    "denied": _Kind(403, "The API key may not be used for this."),
    "rate_limited": _Kind(429, "The API key was used as often as it may be for now."),
    "credits_exhausted": _Kind(429, "The API key has too few credits left."),
    "unavailable": _Kind(503, "API keys cannot be checked just now."),
}


class Refusal(Exception):
    """A request may not pass. `status`, `headers` and `body` are the HTTP answer; its key is in none of them."""

    def __init__(
        self,
        code: str,
        *,
        realm: str = "api",
        missing_scopes: Sequence[str] = (),
        retry_after: int | None = None,
    ) -> None:
        """`code` is one of those in docs/clients.md, `retry_after` in seconds."""
        kind = _KINDS[code]
        super().__init__(kind.message)
        self.code = code
        """Why, for programs: `missing_key`, `rate_limited`, …"""
        self.message = kind.message
        """Why, for people."""
        self.status = kind.status
        """The HTTP status."""
        self.missing_scopes = tuple(missing_scopes)
        """What an `insufficient_scope` lacks."""
        self.retry_after = retry_after
        """Seconds after which it is worth trying again; None where that would not help."""
        self.headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        """The HTTP headers."""
        if kind.status == 401 or kind.challenge:
            challenge = f"Bearer realm={_quoted(realm)}"
            if kind.challenge:
                challenge += f", error={_quoted(kind.challenge)}, error_description={_quoted(kind.message)}"
            if self.missing_scopes:
                challenge += f", scope={_quoted(' '.join(self.missing_scopes))}"
            self.headers["WWW-Authenticate"] = challenge
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)

    @property
    def body(self) -> bytes:
        """The HTTP body: JSON."""
        said: dict[str, object] = {"error": self.code, "message": self.message}
        if self.missing_scopes:
            said["missing_scopes"] = self.missing_scopes
        return json.dumps(said).encode()


def _quoted(text: str) -> str:
    """A quoted-string of RFC 9110."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
