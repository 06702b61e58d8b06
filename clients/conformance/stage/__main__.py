"""Runs it all. See clients/conformance/README.md."""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from . import apps, examples, server, servers
from .failure import Failure
from .matrix import FAILED, PASSED, Matrix
from .play import Play


def main() -> int:
    """The exit status."""
    options = _options()
    # Whoever ends this ends the servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    began = time.monotonic()
    try:
        matrices = _run(options)
    except Failure as failure:
        print(f"conformance: {failure}", file=sys.stderr)
        return 1
    for matrix in matrices:
        print(f"\n{matrix.text()}")
    for matrix in matrices:
        if matrix.failures:
            print(f"\n{matrix.failure_text()}")
    if options.matrix:
        Path(options.matrix).write_text("\n".join(matrix.markdown() for matrix in matrices))
    passed, failed = (sum(matrix.count(mark) for matrix in matrices) for mark in (PASSED, FAILED))
    columns = matrices[0].columns
    print(
        f"\n{len(columns)} apps of {len({language for language, _ in columns})} languages: "
        f"{passed} passed, {failed} failed, in {time.monotonic() - began:.0f} s"
    )
    return 1 if failed else 0


def _run(options: argparse.Namespace) -> list[Matrix]:
    known = sorted({*apps.languages(), *examples.languages()})
    languages = options.only.split(",") if options.only else known
    if strange := [language for language in languages if language not in known]:
        raise Failure(f"neither conformance/apps.json nor example/start in clients/{strange[0]}")
    chosen = _apps(languages, options.app)
    program = Path(options.program).resolve() if options.program else server.build()
    with (
        tempfile.TemporaryDirectory(prefix="portcullis-stage-") as folder,
        servers.running(program, Path(folder)) as all_servers,
    ):
        play = Play(all_servers, chosen, with_scenarios=not options.cases_only)
        play.run()
        if options.cases_only or options.app:
            return [play.matrix]
        with_example = [language for language in examples.languages() if language in languages]
        return [play.matrix, examples.run(all_servers, with_example)]


def _apps(languages: list[str], name: str | None) -> list[apps.App]:
    chosen = []
    for language in apps.languages():
        if language in languages:
            found = [app for app in apps.of(language) if name in (None, app.name)]
            if not found and name is None:
                raise Failure(f"clients/{language}/conformance/apps.json lists nothing")
            chosen += found
    if not chosen:
        raise Failure("no apps to run")
    return chosen


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="clients/conformance/run", description="Runs the guards of all languages through one table of cases."
    )
    parser.add_argument(
        "--program", metavar="FILE", help="the portcullis to start (default: the debug one, built first)"
    )
    parser.add_argument("--only", metavar="LANGUAGE[,LANGUAGE]", help="only the apps and examples of these languages")
    parser.add_argument("--app", metavar="NAME", help="only the apps of this name, and no example")
    parser.add_argument(
        "--cases-only", action="store_true", help="only the table: no scenario, which take longest, no example"
    )
    parser.add_argument("--matrix", metavar="FILE", help="also write the matrix here, as a table of Markdown")
    return parser.parse_args()


sys.exit(main())
