"""What a guard may ask of a key: what the server would refuse in every request is refused when the guard is made."""

import json
import re
from collections.abc import Sequence

ANY_KEYSPACE = "*"
"""As the `keyspace` of a guard: keys of every keyspace pass that the root key may verify in."""

_KEYSPACE = re.compile(r"[a-z][a-z0-9-]{0,39}")
_SCOPE = re.compile(r"[a-z0-9][a-z0-9_.:/-]*\*?")
_SCOPE_LEN_MAX = 128
_SCOPES_MAX = 100
_COST_MAX = 1_000_000_000
# It has the root keys. Their scopes are permissions, whose names and form the server alone knows.
_SYSTEM = "system"


def check_keyspace(keyspace: str | None) -> None:
    """Raises ValueError if `keyspace` is neither the id of a keyspace nor ANY_KEYSPACE."""
    if not keyspace:
        raise ValueError(
            'keyspace is missing: name the keyspace whose keys may pass, such as keyspace="default", or '
            "portcullis.ANY_KEYSPACE for every keyspace that the root key may verify in"
        )
    if not isinstance(keyspace, str):
        raise TypeError("keyspace must be a str")
    if keyspace != ANY_KEYSPACE and not _KEYSPACE.fullmatch(keyspace):
        raise ValueError(f"keyspace {_quoted(keyspace)} is not the id of a keyspace: must match {_KEYSPACE.pattern}")


def check_scopes(field: str, scopes: Sequence[str], keyspace: str) -> None:
    """Raises ValueError if there are too many, or if one is not a scope."""
    if len(scopes) > _SCOPES_MAX:
        raise ValueError(f"{field} must be at most {_SCOPES_MAX}; are {len(scopes)}")
    for number, scope in enumerate(scopes):
        if not isinstance(scope, str):
            raise TypeError(f"{field}[{number}] must be a str")
        if keyspace != _SYSTEM and not (len(scope) <= _SCOPE_LEN_MAX and _SCOPE.fullmatch(scope)):
            raise ValueError(
                f"{field}[{number}] {_quoted(scope)} is not a scope: must be 1 to {_SCOPE_LEN_MAX} of [a-z0-9_.:/-], "
                "start with a letter or digit, and may have `*` at its end only"
            )


def check_cost(cost: int | None) -> None:
    """Raises ValueError if a request cannot cost so much."""
    if cost is not None and not 0 <= cost <= _COST_MAX:
        raise ValueError(f"cost must be 0 to {_COST_MAX}; is {cost}")


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
