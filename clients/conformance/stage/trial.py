"""One app and the table of cases."""

from dataclasses import replace

from . import over_grpc, over_http
from .apps import App, RunningApp
from .failure import Failure
from .tables import Case
from .wallet import Wallet

COMPLAINTS = {"http": over_http.complaints, "grpc": over_grpc.complaints}


def applies(case: Case, app: App) -> bool:
    """Whether this kind of app can be sent this."""
    return case.over in ("", app.kind)


def ask(case: Case, app: App, running: RunningApp, wallet: Wallet) -> list[str]:
    """Sends a case as often as it expects an answer; what of the answers is not as expected."""
    filled = replace(case, headers=wallet.fill(case.headers), query=wallet.fill(case.query))
    found = []
    try:
        caller = running.caller(case.profile)
    except Failure as failure:
        return [str(failure)]
    try:
        for at, expected in enumerate(case.expect, 1):
            try:
                answer = caller.ask(filled)
            except (Failure, OSError) as failure:
                complaints = [str(failure)]
            else:
                complaints = COMPLAINTS[app.kind](wallet.fill(expected), answer)
                complaints += [f"the answer holds {name}" for name in wallet.leaks(answer.raw)]
            which = f"answer {at} of {len(case.expect)}: " if len(case.expect) > 1 else ""
            found += [which + complaint for complaint in complaints]
    finally:
        caller.close()
    return found
