"""Runs the shell blocks of Markdown pages, in order, and compares what they print with the text blocks under them.

Usage: pages.py PROGRAM PAGE...

Each page has a server of its own, over a new SQLite file. In a text block `…` stands for anything within a line. The blocks
of a page share one shell; lines that install or that show a secret's place (`root_…`) are left out. The page about grpcurl
must name every method of proto/.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT_KEY = "root_0123456789abcdef0123456789abcdef"
SHOWN_ADDRESS = "127.0.0.1:50051"
# Between the outputs of two blocks.
MARK = "=== the next block ==="


def blocks(page: str) -> list[tuple[str, str]]:
    """Each shell block with the text block that comes before the next one, or nothing."""
    found: list[tuple[str, str]] = []
    for kind, text in re.findall(r"^```(sh|text)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        if kind == "sh":
            found.append((text, ""))
        else:
            found[-1] = (found[-1][0], text)
    return found


def runs(line: str) -> bool:
    """Whether a line of a block is to be run here."""
    return not line.startswith("go install ") and "root_…" not in line


def matches(expected: str, printed: str) -> bool:
    """Whether this was printed, with anything where `…` stands."""
    pattern = ".*".join(re.escape(part) for part in expected.split("…"))
    return re.fullmatch(pattern, printed) is not None


def start(program: str, folder: str) -> tuple[subprocess.Popen, str]:
    """A server, and its address."""
    environment = {"PATH": os.environ["PATH"], "PORTCULLIS_BOOTSTRAP_ROOT_KEY": ROOT_KEY}
    server = subprocess.Popen(
        [program, "serve", "--listen", "127.0.0.1:0"], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    )
    for line in server.stderr:
        if line.startswith("listening on "):
            return server, line.split()[-1]
    sys.exit(f"the server ended with {server.wait()}")


def check(program: str, path: pathlib.Path) -> list[str]:
    """What is wrong with a page."""
    page = path.read_text()
    parts = blocks(page)
    wrong = []
    if path.stem == "grpcurl":
        wrong += [f"{method} is not on the page" for method in methods() if method not in page]
    with tempfile.TemporaryDirectory() as folder:
        server, address = start(program, folder)
        try:
            lines = ["set -euo pipefail"]
            for shell, _ in parts:
                lines += [line.replace(SHOWN_ADDRESS, address) for line in shell.splitlines() if runs(line)]
                lines.append(f"echo '{MARK}'")
            environment = {"PATH": os.environ["PATH"], "HOME": folder, "PORTCULLIS_ROOT_KEY": ROOT_KEY}
            ran = subprocess.run(
                ["bash", "-c", "\n".join(lines)], env=environment, capture_output=True, text=True, check=False
            )
        finally:
            server.terminate()
            server.wait()
    if ran.returncode != 0:
        wrong.append(f"a block failed with {ran.returncode}: {ran.stderr}")
    printed = ran.stdout.split(f"{MARK}\n")
    for number, (shell, expected) in enumerate(parts):
        found = printed[number] if number < len(printed) else ""
        wanted, got = expected.splitlines(), found.splitlines()
        if len(wanted) != len(got) or not all(map(matches, wanted, got)):
            wrong.append(f"block {number + 1}:\n{shell}should print:\n{expected}and prints:\n{found}")
    print(f"{path}: {len(parts)} blocks, {len(wrong)} wrong")
    return [f"{path}: {what}" for what in wrong]


def methods() -> list[str]:
    """Every method of proto/, as SERVICE/METHOD."""
    found = []
    for path in sorted(pathlib.Path("proto/portcullis/v1").glob("*_service.proto")):
        service = ""
        for kind, name in re.findall(r"^\s*(service|rpc) (\w+)", path.read_text(), re.MULTILINE):
            if kind == "service":
                service = name
            else:
                found.append(f"{service}/{name}")
    return found


def main() -> None:
    program, *pages = sys.argv[1:]
    wrong = [what for page in pages for what in check(os.path.abspath(program), pathlib.Path(page))]
    sys.exit("\n".join(wrong) if wrong else 0)


main()
