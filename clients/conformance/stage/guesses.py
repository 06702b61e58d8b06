"""A stranger guesses at a key that takes long to check, in front of a guard that is open in an outage."""

import secrets
from concurrent import futures

from . import trial
from .apps import App, RunningApp
from .tables import Case
from .wallet import Wallet

PROFILE = "hashing-open"
# So many bcrypt runs take longer than a call may.
AT_ONCE = 12
ROUNDS = 2


def complaints(app: App, running: RunningApp, wallet: Wallet) -> list[str]:
    """Sends the beginning of a slow key with invented ends, all at once; what was let through."""
    found = []
    with futures.ThreadPoolExecutor(AT_ONCE) as pool:
        # The second time, the guard knows by its first failures whether Portcullis is ready.
        for _ in range(ROUNDS):
            found += [text for texts in pool.map(lambda _: _guess(app, running, wallet), range(AT_ONCE)) for text in texts]
    if found:
        found = [f"{len(found)} of {ROUNDS * AT_ONCE} guesses were not refused, among them:", *sorted(set(found))[:5]]
    return found


def _guess(app: App, running: RunningApp, wallet: Wallet) -> list[str]:
    """One guess: refused as a wrong key, or because there was no answer in time."""
    key = wallet.fill("${hashed}") + secrets.token_hex(16)
    refused = {"any_of": [{"refusal": "invalid_key"}, {"refusal": "unavailable"}]}
    return trial.ask(Case("", PROFILE, [["X-API-Key", key]], [refused]), app, running, wallet)
