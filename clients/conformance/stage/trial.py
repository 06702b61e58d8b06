"""One app and the table of cases."""

import time
from dataclasses import replace

from . import over_grpc, over_http
from .apps import App, RunningApp
from .failure import Failure
from .tables import Case, InvalidGuard
from .wallet import Wallet

COMPLAINTS = {"http": over_http.complaints, "grpc": over_grpc.complaints}
# What is answered until the answer expected `within` some seconds comes.
# A log may come after the answer.
LOG_SECONDS = 5
UNTIL_THEN = {"refusal": "unavailable"}


def applies(case: Case, app: App) -> bool:
    """Whether this kind of app can be sent this."""
    return case.over in ("", app.kind)


def guard_complaints(guard: InvalidGuard, running: RunningApp) -> list[str]:
    """What is not as expected of the error that the app got when it made a guard."""
    if guard.name not in running.guard_errors:
        return ["the app says nothing of it"]
    error = running.guard_errors[guard.name]
    if error is None:
        return ["the guard was made"]
    return [f"the error does not say {words!r}: {error}" for words in guard.error if words not in error]


def ask(case: Case, app: App, running: RunningApp, wallet: Wallet) -> list[str]:
    """Sends a case as often as it expects an answer; what of the answers is not as expected."""
    said = running.logged()
    filled = replace(case, headers=wallet.fill(case.headers), query=wallet.fill(case.query))
    found = []
    try:
        caller = running.caller(case.profile)
    except Failure as failure:
        return [str(failure)]
    try:
        for at, expected in enumerate(case.expect, 1):
            complaints = _ask_once_or_within(filled, wallet.fill(expected), app, caller, wallet)
            which = f"answer {at} of {len(case.expect)}: " if len(case.expect) > 1 else ""
            found += [which + complaint for complaint in complaints]
    finally:
        caller.close()
    return found + _log_complaints(case, running, said)


def _log_complaints(case: Case, running: RunningApp, before: str) -> list[str]:
    """Waits for what the app must log."""

    def missing() -> list[str]:
        return [words for words in case.log if words not in running.logged()[len(before) :]]

    deadline = time.monotonic() + LOG_SECONDS
    while missing() and time.monotonic() < deadline:
        time.sleep(0.05)
    return [f"the app does not log {words!r}" for words in missing()]


def _ask_once_or_within(case: Case, expected: dict, app: App, caller, wallet: Wallet) -> list[str]:
    """Sends one request, or several until the answer comes that is expected `within` some seconds."""
    seconds = expected.get("within", 0)
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer = caller.ask(case)
        except (Failure, OSError) as failure:
            return [str(failure)]
        leaks = [f"the answer holds {name}" for name in wallet.leaks(answer.raw)]
        complaints = _complaints(expected, app, answer) + leaks
        if not complaints or time.monotonic() > deadline:
            return complaints + ([f"for {seconds} s"] if complaints and seconds else [])
        if early := COMPLAINTS[app.kind](UNTIL_THEN, answer) + leaks:
            return [f"before the answer expected: {complaint}" for complaint in early]


def _complaints(expected: dict, app: App, answer) -> list[str]:
    """What of an answer is not as expected: of several that would do, by the one that is nearest."""
    allowed = expected.get("any_of", [expected])
    return min((COMPLAINTS[app.kind](one, answer) for one in allowed), key=len)
