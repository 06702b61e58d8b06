"""When two JSON values are the same."""

import json
from collections.abc import Iterator


def same(expected, got) -> bool:
    """As JSON sees it: 3 is 3.0, and neither is true."""
    if isinstance(expected, bool) or isinstance(got, bool):
        return expected is got
    if isinstance(expected, dict) and isinstance(got, dict):
        return expected.keys() == got.keys() and all(same(expected[name], got[name]) for name in expected)
    if isinstance(expected, list) and isinstance(got, list):
        return len(expected) == len(got) and all(map(same, expected, got))
    return expected == got


def difference(what: str, expected, got) -> Iterator[str]:
    """A complaint, if they are not the same."""
    if not same(expected, got):
        yield f"{what}: expected {json.dumps(expected)}, got {json.dumps(got)}"


def parsed(text: str | bytes):
    """The JSON value in a text, or a text that says that there is none."""
    try:
        return json.loads(text)
    except ValueError:
        return f"no JSON: {text[:300]!r}"
