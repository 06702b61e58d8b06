"""Whose request it is."""

from datetime import datetime, timezone
from functools import cached_property
from typing import Any

from google.protobuf.json_format import MessageToDict

from . import v1


class Identity:
    """What a route may know of the key that a request came with. The key itself is not in it."""

    def __init__(self, response: v1.VerifyResponse | None = None) -> None:
        """That of a key of which `response` says that it is valid; None: of a request let through unverified."""
        # Read when asked for: few routes ask for all of it, and each of them would wait for it.
        self._response = v1.VerifyResponse() if response is None else response

    @property
    def authenticated(self) -> bool:
        """False for a request that was let through unverified: then there is nothing else here."""
        return self._response.valid

    @property
    def key_id(self) -> str | None:
        """The id of the key."""
        return self._response.key_id or None

    @property
    def keyspace(self) -> str | None:
        """The keyspace of the key."""
        return self._response.keyspace or None

    @property
    def subject(self) -> str | None:
        """Whom the key acts for."""
        return self._response.subject or None

    @property
    def user_id(self) -> str | None:
        """The subject, if it begins with `user_`."""
        return self._subject_of("user_")

    @property
    def org_id(self) -> str | None:
        """The subject, if it begins with `org_`."""
        return self._subject_of("org_")

    @property
    def scopes(self) -> tuple[str, ...]:
        """What the key may do."""
        return tuple(self._response.scopes)

    @cached_property
    def claims(self) -> dict[str, Any]:
        """JSON of your own; its numbers are floats."""
        return MessageToDict(self._response.claims)

    @property
    def expire_time(self) -> datetime | None:
        """When the key expires, in UTC; None: never."""
        is_set = self._response.HasField("expire_time")
        return self._response.expire_time.ToDatetime(timezone.utc) if is_set else None

    @property
    def rate_limit(self) -> v1.RateLimitStatus | None:
        """What is left of the limit that is nearest to its end; None for a key without limits."""
        return self._response.rate_limit if self._response.HasField("rate_limit") else None

    @property
    def credits_remaining(self) -> int | None:
        """What the key may still spend; None for a key without credits."""
        return self._response.credits_remaining if self._response.HasField("credits_remaining") else None

    def __repr__(self) -> str:
        return f"Identity(authenticated={self.authenticated}, key_id={self.key_id!r}, subject={self.subject!r})"

    def _subject_of(self, prefix: str) -> str | None:
        subject = self._response.subject
        return subject if subject.startswith(prefix) else None
