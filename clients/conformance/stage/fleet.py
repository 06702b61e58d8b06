"""Replicas come and go, and no request fails."""

from . import patience
from .apps import App, RunningApp
from .failure import Failure
from .load import Load
from .server import Server
from .servers import Servers
from .tables import Case
from .wallet import Wallet

ENOUGH = 300
# Longer than a client waits between two attempts to connect.
ASKED_SECONDS = 60
NAMES = "AB"


def survive(app: App, running: RunningApp, servers: Servers, wallet: Wallet) -> tuple[list[str], int]:
    """Restarts and kills each replica under load; what failed, and how many requests were sent."""
    servers.fleet.make_key("of the fleet", {"subject": "user_1"}, wallet)
    case = Case("", "fleet", [["Authorization", wallet.fill("Bearer ${of the fleet}")]], [{"status": 200}])
    before = [replica.lookups() for replica in servers.replicas]
    with Load(case, app, running, wallet) as load:
        # The key was made on A: if B has to look it up, it was asked about it.
        complaints = _asked(servers.replicas[1], "B", before[1], load)
        for end in (Server.stop, Server.kill):
            for name, replica in zip(NAMES, servers.replicas):
                if complaints or load.failures:
                    break
                end(replica)
                replica.start()
                # Until the app is back on it, the other one must not go. It looks one key up by itself, at its start;
                # the app makes it look up two: its root key and the key presented.
                complaints += _asked(replica, name, 2, load)
        patience.until(lambda: load.failures or load.sent >= ENOUGH, f"{ENOUGH} requests under load")
    if load.failures:
        some = sorted(set(load.failures))[:5]
        complaints += [f"{len(load.failures)} complaints in {load.sent} requests, among them:", *some]
    return complaints, load.sent


def _asked(replica: Server, name: str, before: int, load: Load) -> list[str]:
    try:
        patience.until(lambda: load.failures or replica.lookups() > before, "", ASKED_SECONDS)
    except Failure:
        return [f"nothing asked replica {name} within {ASKED_SECONDS} s"]
    return []
