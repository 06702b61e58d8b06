"""A Portcullis."""

import os
import re
import signal
import subprocess
import urllib.request
from pathlib import Path
from typing import Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from . import patience, ports
from .failure import Failure
from .places import ROOT
from .process import Process

# A debug build on a busy machine.
START_SECONDS = 120
STOP_SECONDS = 60


class Server:
    """One process of `portcullis serve`, always on the same port."""

    def __init__(
        self, program: Path, folder: Path, root_key: str, database: str = "sqlite://portcullis.db", tls: bool = False
    ) -> None:
        """`tls`: with a certificate for localhost that signs itself."""
        self.address = f"{ports.HOST}:{ports.free()}"
        self.root_key = root_key
        self._command = [
            *(str(program), "serve", "--listen", self.address, "--metrics-listen", f"{ports.HOST}:0"),
            *("--database-url", database, "--auto-migrate", "--shutdown-grace-ms", "300"),
        ]
        self._folder = folder
        self._is_tls = tls
        if tls:
            self._command += ["--tls-cert", "certificate.pem", "--tls-key", "key.pem"]
            _certify(folder)
        self._process: Process | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_) -> None:
        if self._process is not None:
            self._process.kill()

    def start(self) -> None:
        """Starts it and waits until it is ready."""
        env = {"PORTCULLIS_BOOTSTRAP_ROOT_KEY": self.root_key, "PORTCULLIS_LOG": "warn"}
        self._process = Process(self._command, self._folder, env)
        metrics = r"metrics on (http://\S+)"
        self._metrics = self._process.line("stderr", lambda line: _group(metrics, line), START_SECONDS)
        self._process.line("stderr", lambda line: _group("(listening on )", line), START_SECONDS)
        # Clients do not trust it: nor does this.
        if not self._is_tls:
            patience.until(self._is_ready, f"{self.address} is ready", START_SECONDS)

    def _is_ready(self) -> bool:
        with grpc.insecure_channel(self.address) as channel:
            asked = health_pb2.HealthCheckRequest(service="readiness")
            try:
                answer = health_pb2_grpc.HealthStub(channel).Check(asked, timeout=5)
            except grpc.RpcError:
                return False
            return answer.status == health_pb2.HealthCheckResponse.SERVING

    def stop(self) -> None:
        """Ends it in order: calls in flight are answered."""
        self._process.signal(signal.SIGTERM)
        if not self._process.wait(STOP_SECONDS):
            raise Failure(f"{self.address} did not end within {STOP_SECONDS} s of SIGTERM")

    def kill(self) -> None:
        """Ends it as a crash would."""
        self._process.kill()

    def lookups(self) -> int:
        """How many keys it has looked up in its store since it was started: each once, and then it remembers them."""
        with urllib.request.urlopen(self._metrics, timeout=30) as answer:
            found = _group(r"(?m)^portcullis_store_lookups_total (\d+)", answer.read().decode())
        if found is None:
            raise Failure("no portcullis_store_lookups_total among the metrics")
        return int(found)


def _certify(folder: Path) -> None:
    asked = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -keyout key.pem -out certificate.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(["openssl", *asked.split(), *names], cwd=folder, check=True, capture_output=True)


def _group(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return found and found[1]


def build(profile: str = "debug") -> Path:
    """Builds the program, `debug` or `release`; where it is."""
    command = ["cargo", "build", "--locked", "--bin", "portcullis", *(["--release"] if profile == "release" else [])]
    if subprocess.run(command, check=False, cwd=ROOT).returncode:
        raise Failure("the program could not be built")
    return ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / profile / "portcullis"
