"""All servers that a guard may be set to ask."""

import contextlib
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from . import ports, tables
from .management import Management
from .postgres import Postgres
from .proxy import Proxy
from .scripted import NOT_SERVING, SERVING, Scripted
from .server import Server
from .wallet import Wallet

# What a loaded machine takes its time for must not fail a case; what a case waits for should not take long.
PATIENT_MS = 10_000
FROZEN_MS = 3_000
DOWN_MS = 2_000
DEAF_MS = 500
# The default of every client.
USUAL_MS = 1_000
SLOW_SECONDS = 3.0

PARTNERS = ("partners", "pk_live")


@dataclass
class Servers:
    """Those that run."""

    # Knows the root keys.
    wallet: Wallet
    main: Management
    main_address: str
    fleet: Management
    # The replicas of the fleet.
    replicas: list[Server]
    # In front of main.
    frozen: Proxy
    # The same for every app.
    told: dict[str, dict]
    folder: Path

    @contextlib.contextmanager
    def stage(self, number: int):
        """Starts the scripted servers of one app, which count what it alone asks, and writes its PORTCULLIS_STAGE."""
        with contextlib.ExitStack() as stack:
            scripted = ScriptedServers(
                *(stack.enter_context(Scripted(readiness)) for readiness in (SERVING, NOT_SERVING, None, NOT_SERVING))
            )
            stage_file = self.folder / f"stage-{number}.json"
            stage_file.touch(mode=0o600)
            servers = self.told | scripted.told(self.told["main"]["root_key"])
            stage_file.write_text(json.dumps(
                    {
                        "servers": servers,
                        "profiles": tables.profiles(),
                        "invalid_guards": {guard.name: guard.options for guard in tables.invalid_guards()},
                    },
                    indent=2,
                ))
            yield scripted, stage_file


@dataclass
class ScriptedServers:
    """The scripted servers of one app."""

    # Its readiness is SERVING.
    ready: Scripted
    # Its readiness is NOT_SERVING.
    unready: Scripted
    # Its health does not answer.
    mute: Scripted
    # As unready; no case asks it.
    counted: Scripted

    def told(self, root_key: str) -> dict[str, dict]:
        """What the app is told of them."""
        return {
            "scripted": _told([self.ready.address], root_key, PATIENT_MS),
            "ready": _told([self.ready.address], root_key, DEAF_MS),
            "unready": _told([self.unready.address], root_key, DEAF_MS),
            "half-ready": _told([self.unready.address, self.ready.address], root_key, DEAF_MS),
            "mute": _told([self.mute.address], root_key, DEAF_MS),
            "counted": _told([self.counted.address], root_key, DEAF_MS),
        }

    def health_calls(self) -> int:
        """How often the app asked any of them for its health."""
        return sum(len(one.health_calls) for one in (self.ready, self.unready, self.mute, self.counted))


@contextlib.contextmanager
def running(program: Path, folder: Path):
    """Starts all of them, in a folder of the run's own."""
    wallet = Wallet()
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        main = enter(_sqlite(program, folder / "main", wallet.add_root_key("operator of main")))
        operator = enter(Management(main))
        operator.make_keyspace(*PARTNERS)
        root_key = operator.make_root_key("root", "keys:verify", wallet)
        # What docs/clients.md asks an operator to make for a guard of one keyspace.
        operator.make_root_key("root of default", "keys:verify@default", wallet)
        unpermitted = operator.make_root_key("root without keys:verify", "keys:read", wallet)
        unknown = wallet.add("wrong root key", f"root_{secrets.token_hex(27)}")

        replicas = _fleet(enter(Postgres()), program, folder / "fleet", wallet.add_root_key("operator of the fleet"))
        for replica in replicas:
            enter(replica)
        fleet_operator = enter(Management(replicas[0]))
        fleet_root_key = fleet_operator.make_root_key("root of the fleet", "keys:verify@default", wallet)

        (folder / "tls").mkdir()
        over_tls = enter(Server(program, folder / "tls", wallet.add_root_key("operator over TLS"), tls=True))

        frozen = enter(Proxy(main.address))
        slow = enter(Proxy(main.address, delay_seconds=SLOW_SECONDS))
        half_open = enter(Proxy(main.address))
        half_open.freeze()
        closed = enter(ports.Closed())
        told = {
            "main": _told([main.address], root_key, PATIENT_MS),
            # This machine, by an address that clients do not take for it.
            "elsewhere": _told([main.address.replace(ports.HOST, f"[::ffff:{ports.HOST}]")], root_key, PATIENT_MS),
            "down": _told([closed.address], root_key, DOWN_MS),
            "tls-by-http": _told([over_tls.address], root_key, PATIENT_MS),
            "plaintext-by-https": _told([main.address], root_key, PATIENT_MS, "https"),
            "untrusted": _told([over_tls.address], root_key, PATIENT_MS, "https"),
            "slow": _told([slow.address], root_key, DEAF_MS),
            "half-open": _told([half_open.address], root_key, DEAF_MS),
            "frozen": _told([frozen.address], root_key, FROZEN_MS),
            "wrong-root-key": _told([main.address], unknown, PATIENT_MS),
            "not-permitted": _told([main.address], unpermitted, PATIENT_MS),
            "hashing": _told([main.address], root_key, USUAL_MS),
            "fleet": _told([replica.address for replica in replicas], fleet_root_key, PATIENT_MS),
        }
        yield Servers(wallet, operator, main.address, fleet_operator, replicas, frozen, told, folder)


def _sqlite(program: Path, folder: Path, root_key: str) -> Server:
    folder.mkdir()
    return Server(program, folder, root_key)


def _fleet(postgres: Postgres, program: Path, folder: Path, root_key: str) -> list[Server]:
    folder.mkdir()
    return [Server(program, folder, root_key, postgres.url) for _ in range(2)]


def _told(addresses: list[str], root_key: str, timeout_ms: int, scheme: str = "http") -> dict:
    return {
        "addresses": [f"{scheme}://{address}" for address in addresses],
        "root_key": root_key,
        "timeout_ms": timeout_ms,
    }
