"""From the addresses of replicas to one gRPC target."""

import ipaddress
import logging
import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

_DEFAULT = "http://127.0.0.1:50051"
_FORM = "must be http://HOST:PORT or https://HOST:PORT and nothing else"

_log = logging.getLogger("portcullis")


@dataclass(frozen=True, slots=True)
class Target:
    """What to dial."""

    name: str
    """The target, in gRPC's spelling."""
    authority: str | None
    """The host whose name a certificate must have; None: gRPC takes it from the target."""
    hosts: tuple[tuple[str, int], ...]
    """Of each address, the host and the port."""
    is_tls: bool
    is_local: bool
    """Whether it is all on this machine."""


def target(address: str | Sequence[str] | None) -> Target:
    """The target that `address` means; None: what PORTCULLIS_SERVER says.

    Raises:
        ValueError: it is no address, or some of several are http:// and some https://.
        OSError: it has several, and the name of none of them is known.
    """
    if address is None:
        address = os.environ.get("PORTCULLIS_SERVER") or _DEFAULT
    addresses = [address] if isinstance(address, str) else address
    places = [_split(one, number) for number, one in enumerate(addresses, 1)]
    if not places:
        raise ValueError(f"an address is needed, which {_FORM}")
    schemes = {scheme for scheme, _, _ in places}
    if len(schemes) > 1:
        raise ValueError("several addresses must all be http:// or all be https://")
    hosts = [(host, port) for _, host, port in places]
    first = _join(*hosts[0])
    return Target(
        # gRPC looks the name up again whenever a connection is lost.
        name=f"dns:///{first}" if len(hosts) == 1 else _list(hosts),
        # Of a list gRPC would make one name, commas and all.
        authority=None if len(hosts) == 1 else first,
        hosts=tuple(hosts),
        is_tls=schemes == {"https"},
        is_local=all(_is_local(host) for host, _ in hosts),
    )


def _split(address: str, number: int) -> tuple[str, str, int]:
    if address.startswith("dns:"):
        raise ValueError(
            f"address {number} {_FORM}, not a target of gRPC (dns:///): all addresses of the name are used all the same"
        )
    # Without the address, which could have a password in it, and not from an error that quotes it.
    wrong = ValueError(f"address {number} {_FORM}")
    try:
        url = urlsplit(address)
        host, port = url.hostname, url.port
    except ValueError:
        raise wrong from None
    is_bare = "@" not in url.netloc and url.path in ("", "/") and not url.query and not url.fragment
    if url.scheme not in ("http", "https") or not host or not port or not is_bare:
        raise wrong
    return url.scheme, host, port


def _list(hosts: Iterable[tuple[str, int]]) -> str:
    """gRPC takes a list of numbers, of one family, so names are looked up here and now."""
    found = [(ip, port) for number, (host, port) in enumerate(hosts, 1) for ip in _look_up(host, number)]
    if not found:
        raise OSError("none of the names of the addresses is known")
    if all(ip.version == 4 for ip, _ in found):
        return "ipv4:" + ",".join(_join(str(ip), port) for ip, port in found)
    return "ipv6:" + ",".join(_join(str(ip) if ip.version == 6 else f"::ffff:{ip}", port) for ip, port in found)


def _look_up(host: str, number: int) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        # The others may be up.
        _log.warning("left out address %d, whose name is not known: %s", number, error)
        return []
    return [ipaddress.ip_address(answer[4][0]) for answer in answers]


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_local(host: str) -> bool:
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    # Not is_loopback: what more that means depends on the version of Python.
    return ip in ipaddress.IPv4Network("127.0.0.0/8") or ip == ipaddress.IPv6Address("::1")
