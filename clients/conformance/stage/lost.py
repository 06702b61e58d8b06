"""A connection that is lost without a word, and what comes after."""

import time
from collections.abc import Callable
from concurrent import futures

from . import patience, trial
from .apps import App, RunningApp
from .failure import Failure
from .proxy import Proxy
from .tables import Case
from .wallet import Wallet

PASSES = Case("", "frozen", [["Authorization", "Bearer ${reader}"]], [{"status": 200}])
FAILS = Case("", "frozen", PASSES.headers, [{"refusal": "unavailable"}])
# A first connection on a busy machine.
CONNECTION_SECONDS = 60
# A keepalive finds out after 30 s and 10 more.
RECOVERY_SECONDS = 120


def recover(
    running: dict[App, RunningApp], way: Proxy, wallets: dict[App, Wallet], tell: Callable[[str], None]
) -> dict[App, list[str]]:
    """Freezes the way to a server, and thaws it, for all apps at once. What was not as expected."""
    found: dict[App, list[str]] = {app: [] for app in running}

    def ask(app: App, case: Case) -> list[str]:
        return trial.ask(case, app, running[app], wallets[app])

    def passes_within(seconds: float, what: str, app: App) -> None:
        complaints: list[str] = []
        began = time.monotonic()

        def passes() -> bool:
            complaints[:] = ask(app, PASSES)
            return not complaints

        try:
            patience.until(passes, "", seconds, pause=0.5)
        except Failure:
            found[app] += [f"{what}, it did not pass within {seconds:g} s:", *complaints]
        else:
            tell(f"{app.language} {app.name}: {what}, it passed within {time.monotonic() - began:.0f} s")

    def fails(app: App) -> None:
        found[app] += [f"frozen: {complaint}" for complaint in ask(app, FAILS)]

    with futures.ThreadPoolExecutor(max(1, len(running))) as pool:
        _all(pool.submit(passes_within, CONNECTION_SECONDS, "before", app) for app in running)
        way.freeze()
        try:
            _all(pool.submit(fails, app) for app in running)
        finally:
            way.thaw()
        _all(pool.submit(passes_within, RECOVERY_SECONDS, "thawed", app) for app, bad in found.items() if not bad)
    return found


def _all(asked) -> None:
    for each in list(asked):
        each.result()
