"""All apps, one after the other."""

import contextlib
import sys
import time
from collections.abc import Callable

from . import apps, fleet, guesses, health, lost, tables, trial
from .apps import App, RunningApp
from .failure import Failure
from .matrix import Matrix
from .servers import ScriptedServers, Servers
from .wallet import Wallet

RUNS = "the app builds, starts, and ends with its standard input"
FLEET = "replicas are restarted and killed under load"
GUESSES = "secrets guessed for a slow key open nothing"
HEALTH = "health is asked after a failure only, and at most once a second"
HEALTH_ENDS = "health is no longer asked when calls have not failed for a while"
LOST = "a connection is lost without a word, and found out"
SECRETS = "no secret in what the app printed"
# Of what an app printed, this much is shown with a complaint.
LAST_LINES = 20


class Play:
    """Sends every app through the cases and the scenarios, and fills a matrix."""

    def __init__(self, servers: Servers, chosen: list[App], with_scenarios: bool) -> None:
        self._servers = servers
        self._apps = chosen
        self._with_scenarios = with_scenarios
        # What is put into the matrix for an app holds none of these secrets.
        self._wallets = {app: Wallet(servers.wallet) for app in chosen}
        self.matrix = Matrix([app.column for app in chosen])
        # The first row, though what it says is known last.
        self.matrix.rows[RUNS] = {}

    def run(self) -> None:
        """All of it. Every app runs until the end: the last scenario is all apps' at once, for it takes its time."""
        unbuilt = self._build()
        with contextlib.ExitStack() as stack:
            running: dict[App, RunningApp] = {}
            scripted: dict[App, ScriptedServers] = {}
            for number, app in enumerate(self._apps):
                began = time.monotonic()
                try:
                    if why := unbuilt.get(app.language):
                        raise Failure(why)
                    scripted[app], stage_file = stack.enter_context(self._servers.stage(number))
                    running[app] = stack.enter_context(RunningApp(app, stage_file))
                except Failure as failure:
                    self._note(RUNS, app, [str(failure)])
                    continue
                self._invalid_guards(app, running[app])
                self._cases(app, running[app])
                told = ""
                if self._with_scenarios:
                    self._scenario(GUESSES, guesses.complaints, app, running[app])
                    self._scenario(HEALTH, health.complaints, app, running[app], scripted[app].counted)
                    told = self._fleet(app, running[app])
                _tell(f"{app.language} {app.name}: {time.monotonic() - began:.0f} s{told}")
            if self._with_scenarios:
                self._lose_connections(running)
                for app, complaints in health.still_asked({app: scripted[app] for app in running}).items():
                    self._note(HEALTH_ENDS, app, complaints)
            for app, process in running.items():
                self._end(app, process)

    def _build(self) -> dict[str, str]:
        """Builds the apps of each language; why it could not be done, by language."""
        unbuilt = {}
        for language in dict.fromkeys(app.language for app in self._apps):
            _tell(f"building the apps of {language}")
            try:
                apps.build(language)
            except Failure as failure:
                unbuilt[language] = str(failure)
        return unbuilt

    def _invalid_guards(self, app: App, running: RunningApp) -> None:
        for guard in tables.invalid_guards():
            self._note(f"no guard is made with {guard.name}", app, trial.guard_complaints(guard, running))

    def _cases(self, app: App, running: RunningApp) -> None:
        wallet = self._wallets[app]
        self._servers.main.make_keys(tables.keys(), wallet)
        for case in tables.cases():
            if trial.applies(case, app):
                said = running.logged()
                complaints = trial.ask(case, app, running, wallet)
                self._note(case.name, app, complaints + self._meanwhile(app, running, said, complaints))
            else:
                self.matrix.skipped(case.name, app.column)

    def _scenario(self, row: str, complaints: Callable[..., list[str]], app: App, running: RunningApp, *rest) -> None:
        said = running.logged()
        try:
            found = complaints(app, running, self._wallets[app], *rest)
        except Failure as failure:
            found = [str(failure)]
        self._note(row, app, found + self._meanwhile(app, running, said, found))

    def _fleet(self, app: App, running: RunningApp) -> str:
        said = running.logged()
        try:
            complaints, sent = fleet.survive(app, running, self._servers, self._wallets[app])
        except Failure as failure:
            complaints, sent = [str(failure)], 0
        self._note(FLEET, app, complaints + self._meanwhile(app, running, said, complaints))
        return f", {sent} requests while replicas came and went"

    def _lose_connections(self, running: dict[App, RunningApp]) -> None:
        began = time.monotonic()
        for app, complaints in lost.recover(running, self._servers.frozen, self._wallets, _tell).items():
            self._note(LOST, app, complaints)
        _tell(f"connections lost and found out: {time.monotonic() - began:.0f} s")

    def _end(self, app: App, running: RunningApp) -> None:
        try:
            running.end()
            self._note(RUNS, app, [])
        except Failure as failure:
            self._note(RUNS, app, [str(failure)])
        leaks = self._wallets[app].leaks(running.output())
        self._note(SECRETS, app, [f"it holds {', '.join(leaks)}"] if leaks else [])

    def _meanwhile(self, app: App, running: RunningApp, before: str, complaints: list[str]) -> list[str]:
        """What the app printed while it gave cause for complaints."""
        said = running.logged()[len(before) :]
        if not complaints or not said or self._wallets[app].leaks(said):
            return []
        return ["meanwhile it printed:", *(f"  {line}" for line in said.splitlines()[-LAST_LINES:])]

    def _note(self, row: str, app: App, complaints: list[str]) -> None:
        self.matrix.note(row, app.column, [self._wallets[app].redact(complaint) for complaint in complaints])


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
