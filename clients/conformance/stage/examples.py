"""The example of each language."""

import re
import signal
import sys

from . import over_http
from .failure import Failure
from .matrix import Matrix
from .over_http import Http
from .places import CLIENTS
from .process import Process
from .sameness import parsed
from .servers import Servers
from .tables import Case
from .wallet import Wallet

# It may have to be built first.
START_SECONDS = 900
STOP_SECONDS = 15

SUBJECT = "user_of_the_example"
KEYS = {"ordering": {"subject": SUBJECT, "scopes": ["orders:read"]}, "other": {"subject": SUBJECT}}


def languages() -> list[str]:
    """The languages that have one."""
    return sorted(path.parent.parent.name for path in CLIENTS.glob("*/example/start"))


def run(servers: Servers, chosen: list[str]) -> Matrix:
    """Calls the example of each of these languages."""
    matrix = Matrix([(language, "example") for language in chosen])
    wallet = Wallet(servers.wallet)
    servers.main.make_keys(KEYS, wallet)
    for column in matrix.columns:
        print(f"the example of {column[0]}", file=sys.stderr, flush=True)
        for row, complaints in _run(column[0], servers, wallet).items():
            matrix.note(row, column, [wallet.redact(complaint) for complaint in complaints])
    return matrix


def _run(language: str, servers: Servers, wallet: Wallet) -> dict[str, list[str]]:
    """What was not as expected, by what was done."""
    env = {
        "PORT": "0",
        "PORTCULLIS_SERVER": f"http://{servers.main_address}",
        "PORTCULLIS_ROOT_KEY": wallet.fill("${root of default}"),
    }
    folder = CLIENTS / language / "example"
    process = Process([str(folder / "start")], folder, env)
    found = {}
    try:
        url = process.line("stdout", _address, START_SECONDS)
        found["it starts"] = []
        route = over_http.Http(f"{url}/orders")
        for row, call in CALLS.items():
            found[row] = call(route, wallet)
    except (Failure, OSError) as failure:
        found["it starts"] = [str(failure)]
    finally:
        process.signal(signal.SIGTERM)
        process.wait(STOP_SECONDS)
        process.kill()
    leaks = wallet.leaks(process.output())
    return found | {"no secret in what it printed": [f"it holds {', '.join(leaks)}"] if leaks else []}


def _address(line: str) -> str | None:
    found = re.search(r"listening on (http://127\.0\.0\.1:\d+)", line)
    return found and found[1]


def _without_key(route: Http, wallet: Wallet) -> list[str]:
    return over_http.complaints({"refusal": "missing_key"}, route.ask(_with([])))


def _with_key(route: Http, wallet: Wallet) -> list[str]:
    answer = route.ask(_with([["Authorization", wallet.fill("Bearer ${ordering}")]]))
    if answer.status == 200 and SUBJECT in str(parsed(answer.body)):
        return []
    return [f"expected 200 and JSON with the subject, got {answer.status} and {answer.body!r}"]


def _without_scope(route: Http, wallet: Wallet) -> list[str]:
    expected = {"refusal": "insufficient_scope", "missing_scopes": ["orders:read"]}
    return over_http.complaints(expected, route.ask(_with([["X-API-Key", wallet.fill("${other}")]])))


def _with(headers: list[list[str]]) -> Case:
    return Case("", "", headers, [])


CALLS = {
    "without a key": _without_key,
    "with a key of orders:read": _with_key,
    "with a key without a scope": _without_scope,
}
