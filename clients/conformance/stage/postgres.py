"""A PostgreSQL of the run's own."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from .failure import Failure
from .places import ROOT

# PostgreSQL refuses to run as root.
NOBODY = 65534


class Postgres:
    """A cluster that is gone when this process is, however it ends: its supervisor sees to that."""

    def __enter__(self) -> Self:
        found = subprocess.run([ROOT / "scripts/postgres-bin"], check=False, stdout=subprocess.PIPE, text=True)
        if found.returncode:
            raise Failure("the fleet needs PostgreSQL")
        self._folder = Path(tempfile.mkdtemp(prefix="portcullis-pg-"))
        settings = f"listen_addresses = ''\nunix_socket_directories = '{self._folder}'\nfsync = off"
        script = (ROOT / "tests/it/support/postgres.sh").read_text()
        identity = {}
        if os.getuid() == 0:
            os.chown(self._folder, NOBODY, NOBODY)
            identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        self._supervisor = subprocess.Popen(
            ["sh", "-c", script, "postgres.sh", found.stdout.strip(), self._folder, settings],
            cwd=self._folder,
            env={"PATH": os.environ["PATH"]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            # What interrupts the run at a terminal must not interrupt the tidying up.
            start_new_session=True,
            **identity,
        )
        for word in ("init", "start"):
            self._tell(word)
        return self

    def __exit__(self, *_) -> None:
        self._supervisor.stdin.close()
        self._supervisor.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _tell(self, word: str) -> None:
        print(word, file=self._supervisor.stdin, flush=True)
        if self._supervisor.stdout.readline().strip() != "0":
            log = (self._folder / "log").read_text()
            self.__exit__()
            raise Failure(f"PostgreSQL did not {word}:\n{log}")

    @property
    def url(self) -> str:
        """The URL of its database."""
        return f"postgres:///postgres?host={self._folder}&user=portcullis"
