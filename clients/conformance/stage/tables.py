"""The tables of this folder, as they are written."""

import json
from dataclasses import dataclass, field

from .places import CONFORMANCE
from .wallet import Wallet


def _read(name: str):
    return json.loads((CONFORMANCE / name).read_text())


@dataclass(frozen=True)
class Case:
    """One case of cases.json."""

    name: str
    profile: str
    headers: list[list[str]]
    expect: list[dict]
    method: str = "GET"
    query: str = ""
    over: str = ""
    # What the app must log meanwhile.
    log: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Refusal:
    """What a guard answers to what it refuses."""

    code: str
    status: int
    grpc: str
    message: str
    challenge: str | None = None
    # In seconds, from and to.
    retry_after: list[int] | None = None
    missing_scopes: list[str] = field(default_factory=list)


def cases() -> list[Case]:
    """All cases. One answer expected is a list of one."""
    found = []
    for written in _read("cases.json"):
        expect = written.pop("expect")
        found.append(Case(**written, expect=expect if isinstance(expect, list) else [expect]))
    return found


def profiles() -> dict[str, dict]:
    """All profiles, each with all of its fields."""
    absent = {
        "scopes": [],
        "any_of_scopes": [],
        "keyspace": "default",
        "cost": None,
        "dangerously_allow_when_unavailable": False,
    }
    # Only to write long values: there are no secrets in profiles.
    return {name: absent | written for name, written in Wallet().fill(_read("profiles.json")).items()}


@dataclass(frozen=True)
class InvalidGuard:
    """Options that no guard may be made with."""

    name: str
    # As those of a profile. An option that is not here is not given to the guard.
    options: dict
    # What the error must say.
    error: list[str]


def invalid_guards() -> list[InvalidGuard]:
    """All of invalid_guards.json."""
    found = []
    for written in Wallet().fill(_read("invalid_guards.json")):
        options = written["options"]
        for field in ("scopes", "any_of_scopes"):
            # A text of so many x stands for so many scopes.
            options[field] = list(options.get(field, []))
        found.append(InvalidGuard(written["name"], options, written["error"]))
    return found


def keys() -> dict[str, dict]:
    """All keys."""
    return _read("keys.json")


REFUSALS = _read("refusals.json")


def refusal(expected: dict) -> Refusal:
    """The refusal that a case expects: its own words, and for the rest what refusals.json says of the code."""
    code = expected["refusal"]
    told = REFUSALS[code] | {name: value for name, value in expected.items() if name != "refusal"}
    if challenge := told.get("challenge"):
        told["challenge"] = challenge.replace("${missing_scopes}", " ".join(told.get("missing_scopes", [])))
    return Refusal(code, **told)


def identity(expected: dict) -> dict:
    """The identity that a case expects."""
    return {"authenticated": True} | expected["identity"]
