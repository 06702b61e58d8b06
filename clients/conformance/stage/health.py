"""How often a guard asks Portcullis for its health."""

import time
from concurrent import futures

from . import patience, trial
from .apps import App, RunningApp
from .failure import Failure
from .scripted import NEVER_ANSWERED, HealthCall, Scripted
from .servers import ScriptedServers
from .tables import Case
from .wallet import Wallet

PROFILE = "counted-open"
GOOD_REQUESTS = 20
FAILING_AT_ONCE = 8
FAILING_SECONDS = 4
# Calls go on being asked for some 30 s after the last failure.
ENDS_SECONDS = 90
QUIET_SECONDS = 5


def complaints(app: App, running: RunningApp, wallet: Wallet, counted: Scripted) -> list[str]:
    """Sends requests that pass, then many that fail; when health was asked otherwise than once a second."""
    good = Case("", PROFILE, [["X-API-Key", "good"]], [{"status": 200}] * GOOD_REQUESTS)
    found = trial.ask(good, app, running, wallet)
    if counted.health_calls:
        found.append(f"health was asked {len(counted.health_calls)} times before any call failed")
    failing = Case("", PROFILE, [["X-API-Key", NEVER_ANSWERED]], [{"any_of": [{"refusal": "unavailable"}, {"status": 200}]}])
    began = time.monotonic()

    def fail() -> list[str]:
        complaints = []
        while time.monotonic() < began + FAILING_SECONDS:
            complaints += trial.ask(failing, app, running, wallet)
        return complaints

    with futures.ThreadPoolExecutor(FAILING_AT_ONCE) as pool:
        for failed in [pool.submit(fail) for _ in range(FAILING_AT_ONCE)]:
            found += failed.result()
    asked = list(counted.health_calls)
    # The first at once, and one that was under way when time was taken.
    most = int(time.monotonic() - began) + 2
    if not 1 <= len(asked) <= most:
        found.append(f"health was asked {len(asked)} times in {most - 2} s of failures")
    return found + _misasked(asked)


def _misasked(asked: list[HealthCall]) -> list[str]:
    found = [f"health was asked about {call.service!r}" for call in asked if call.service != "readiness"]
    found += ["the root key was sent where none is needed" for call in asked if call.has_credential]
    return sorted(set(found))


def still_asked(scripted: dict[App, ScriptedServers]) -> dict[App, list[str]]:
    """Waits, for all apps at once, until none asks for health any more; which one does not end."""
    counts: dict[App, int] = {}
    since = dict.fromkeys(scripted, time.monotonic())

    def is_quiet(app: App) -> bool:
        count = scripted[app].health_calls()
        if counts.get(app) != count:
            counts[app], since[app] = count, time.monotonic()
        return time.monotonic() - since[app] > QUIET_SECONDS

    try:
        patience.until(lambda: all([is_quiet(app) for app in scripted]), "", ENDS_SECONDS, pause=0.2)
    except Failure:
        pass
    return {
        app: [] if is_quiet(app) else [f"health is asked still, {ENDS_SECONDS} s after the last call that failed"]
        for app in scripted
    }
