"""Where things are in the repository."""

from pathlib import Path

CONFORMANCE = Path(__file__).resolve().parent.parent
CLIENTS = CONFORMANCE.parent
ROOT = CLIENTS.parent
