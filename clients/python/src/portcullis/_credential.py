"""Where a request has its key."""

from collections.abc import Sequence

_KEY_LENGTH_MAX = 512


class Unusable(Exception):
    """There is not one string that could be a key. Its text is never that of a key."""

    def __init__(self, code: str) -> None:
        """`code` is that of the refusal."""
        super().__init__(code)
        self.code = code


def read_key(authorization: Sequence[str], x_api_key: Sequence[str]) -> str:
    """The one key in the lines of both headers. Raises Unusable if there is none, or more than one."""
    value, key = _only(authorization), _only(x_api_key)
    if value[:7].lower() == "bearer ":
        if key:
            raise Unusable("ambiguous_key")
        key = value[7:].lstrip(" ")
    if not key:
        raise Unusable("missing_key")
    # In ASCII, what is printable and no blank is just `!` to `~`.
    if len(key) > _KEY_LENGTH_MAX or " " in key or not (key.isascii() and key.isprintable()):
        raise Unusable("invalid_key")
    return key


def _only(lines: Sequence[str]) -> str:
    if not lines:
        return ""
    # A comma parts two values, even if there is nothing on one side of it.
    if len(lines) > 1 or "," in lines[0]:
        raise Unusable("ambiguous_key")
    return lines[0].strip(" \t")
