"""Runs the bench of every language against one server."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from . import server
from .failure import Failure
from .management import Management
from .places import CLIENTS
from .server import Server
from .wallet import Wallet

KEY = {"subject": "user_1", "scopes": ["orders:read"]}


def main() -> int:
    """The exit status."""
    options = _options()
    benches = {path.parent.name: path for path in sorted(CLIENTS.glob("*/bench")) if path.parent.name != "conformance"}
    languages = options.only.split(",") if options.only else list(benches)
    if strange := [language for language in languages if language not in benches]:
        print(f"bench: there is no clients/{strange[0]}/bench", file=sys.stderr)
        return 1
    try:
        program = Path(options.program).resolve() if options.program else server.build("release")
        failed = _run(program, [(language, benches[language]) for language in languages])
    except Failure as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    for language in failed:
        print(f"bench: clients/{language}/bench failed", file=sys.stderr)
    return 1 if failed else 0


def _run(program: Path, benches: list[tuple[str, Path]]) -> list[str]:
    """Runs these; the languages whose bench failed."""
    wallet = Wallet()
    with (
        tempfile.TemporaryDirectory(prefix="portcullis-bench-") as folder,
        Server(program, Path(folder), wallet.add_root_key("operator")) as running,
        Management(running) as operator,
    ):
        env = os.environ | {
            "PORTCULLIS_SERVER": f"http://{running.address}",
            "PORTCULLIS_ROOT_KEY": operator.make_root_key("root", "keys:verify@default", wallet),
        }
        operator.make_key("bench", KEY, wallet)
        env["PORTCULLIS_BENCH_KEY"] = wallet.fill("${bench}")
        failed = []
        for language, path in benches:
            print(f"\n=== {language}", flush=True)
            if subprocess.run([path], check=False, cwd=path.parent, env=env).returncode:
                failed.append(language)
        return failed


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="clients/conformance/bench",
        description="Measures what a guard costs over the bare stub, in every language.",
    )
    parser.add_argument(
        "--program", metavar="FILE", help="the portcullis to start (default: the release one, built first)"
    )
    parser.add_argument("--only", metavar="LANGUAGE[,LANGUAGE]", help="only these languages")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
