"""The apps of all languages."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from .failure import Failure
from .over_grpc import Grpc
from .over_http import Http
from .places import CLIENTS
from .process import Process

# A JVM on a busy machine.
START_SECONDS = 120
STOP_SECONDS = 30

KINDS = {"http": Http, "grpc": Grpc}


@dataclass(frozen=True)
class App:
    """One entry of an apps.json."""

    language: str
    name: str
    kind: str
    command: tuple[str, ...]
    env: tuple[tuple[str, str], ...]

    @property
    def column(self) -> tuple[str, str]:
        """Its place in the matrix."""
        return self.language, self.name


def languages() -> list[str]:
    """The languages that have apps."""
    return sorted(path.parent.parent.name for path in CLIENTS.glob("*/conformance/apps.json"))


def of(language: str) -> list[App]:
    """The apps of a language."""
    listed = json.loads((CLIENTS / language / "conformance/apps.json").read_text())
    found = []
    for entry in listed:
        if entry["kind"] not in KINDS:
            raise Failure(f"{language}: {entry['name']}: no such kind: {entry['kind']}")
        env = tuple(entry.get("env", {}).items())
        found.append(App(language, entry["name"], entry["kind"], tuple(entry["command"]), env))
    return found


def build(language: str) -> None:
    """Builds the apps of a language, if there is something to build."""
    script = CLIENTS / language / "conformance/build"
    if not script.exists():
        return
    if subprocess.run([script], check=False, cwd=CLIENTS / language, stdout=sys.stderr).returncode:
        raise Failure(f"clients/{language}/conformance/build failed")


class RunningApp:
    """An app while it runs."""

    def __init__(self, app: App, stage_file: Path) -> None:
        """Starts it and waits for its line."""
        env = dict(app.env) | {"PORTCULLIS_STAGE": str(stage_file), "PORTCULLIS_ALLOW_PLAINTEXT": "true"}
        self._kind = KINDS[app.kind]
        self._process = Process(list(app.command), CLIENTS / app.language, env)
        try:
            line = self._process.line("stdout", lambda line: line, START_SECONDS)
            self._addresses = json.loads(line)
            self.guard_errors: dict[str, str | None] = self._addresses.pop("invalid_guards")
        except (ValueError, KeyError):
            self._process.kill()
            raise Failure(f"its first line is not as conformance/README.md says:\n{self.output()}") from None
        except Failure:
            self._process.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self._process.kill()

    def caller(self, profile: str) -> Http | Grpc:
        """What asks the route of a profile."""
        if profile not in self._addresses:
            raise Failure(f"the app has no route for the profile {profile}")
        return self._kind(self._addresses[profile])

    def output(self) -> str:
        """All that it has said so far."""
        return self._process.output()

    def logged(self) -> str:
        """The same without its line."""
        return self.output().partition("\n")[2]

    def end(self) -> None:
        """Ends its standard input; a Failure if it does not end then."""
        self._process.close_input()
        ended = self._process.wait(STOP_SECONDS)
        self._process.kill()
        if not ended:
            raise Failure(f"it did not end within {STOP_SECONDS} s of the end of its standard input")
