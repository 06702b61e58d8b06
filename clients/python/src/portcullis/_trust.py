"""The certificate authorities that this system trusts. gRPC's Python package brings its own, and asks for no others."""

import ssl
from pathlib import Path


def system_certificates() -> bytes | None:
    """PEM, or None if the system has none to show: then gRPC takes those that it brings."""
    found = ssl.create_default_context().get_ca_certs(binary_form=True)
    if found:
        return "".join(map(ssl.DER_cert_to_PEM_cert, found)).encode()
    # What lies in a folder, OpenSSL reads only when it meets it.
    folder = ssl.get_default_verify_paths().capath
    files = sorted(Path(folder).glob("*.0")) if folder else []
    return b"\n".join(file.read_bytes() for file in files) or None
