"""What may be fetched, and from where: never a file of this machine, never an address within its own network."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from netloom.core.errors import DataError
from netloom.core.settings import settings, variable
from netloom.core.text import plain

# Set to 1, people at a server may fetch; set to 0, nobody may. At the command line one may unless it is 0.
DOWNLOADS, PRIVATE = variable("allow_downloads"), variable("allow_private_downloads")
HUB = "hf:"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# Addresses of version 6 in which one of version 4 is written: 6to4, NAT64 and Teredo would lead to it.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class FetchError(DataError):
    """Nothing was fetched; the message is one sentence for people."""


@dataclass(frozen=True)
class RemoteSource:
    """An `address` on the web, or a name at the hub."""

    kind: Literal["address", "hub"]
    name: str


def remote_source(text: str) -> RemoteSource | None:
    """What a person asks for; None where it is the name of a file."""
    if text.startswith(HUB):
        return RemoteSource("hub", text.removeprefix(HUB).strip())
    return RemoteSource("address", text.strip()) if _SCHEME.match(text.strip()) else None


def allowed(*, server: bool) -> bool:
    """Whether anything may be fetched: at the command line unless it is forbidden, at a server where it is allowed."""
    return not server if settings.allow_downloads is None else settings.allow_downloads


def refuse_unless_allowed(*, server: bool) -> None:
    """Raises:
    FetchError: nothing may be fetched here.
    """
    if not allowed(server=server):
        raise FetchError(
            f"Fetching from the web is switched off here; whoever runs Netloom can allow it with {DOWNLOADS}=1. "
            "Fetch the file yourself and add it."
        )


def split(address: str) -> SplitResult:
    """The parts of an address.

    Raises:
        FetchError: it is none of the web.
    """
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise FetchError(f"{plain(address)[:100]!r} is no address that can be read.") from None
    if parts.scheme.lower() not in ("http", "https"):
        raise FetchError(
            f"{plain(address)[:100]!r} begins with {plain(parts.scheme)[:20]}://; only http:// and https:// are "
            "fetched."
        )
    if not parts.hostname or port == 0:
        raise FetchError(f"{plain(address)[:100]!r} names no machine.")
    if parts.username or parts.password:
        raise FetchError("An address with a name or password in it is not fetched; fetch the file yourself and add it.")
    return parts


def resolve(host: str, port: int, *, private: bool) -> list[tuple[int, str]]:
    """The addresses of a machine, each with its family, all of which may be spoken to.

    Raises:
        FetchError: the name is not known, or one of its addresses lies within this machine's own network.
    """
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise FetchError(
            f"There is no machine {plain(host)[:100]!r}, or this one has no network; look at the address, or fetch the "
            "file elsewhere and add it."
        ) from None
    numbers = [(int(family), str(socket_address[0])) for family, _, _, _, socket_address in infos]
    if not private:
        for _, number in numbers:
            if not public(number):
                raise FetchError(
                    f"{plain(host)[:100]!r} lies within this machine's own network ({number}), from which nothing is "
                    f"fetched; whoever runs Netloom can allow it with {PRIVATE}=1."
                )
    return numbers


def public(number: str) -> bool:
    """Whether an address is one of the open internet."""
    address = ipaddress.ip_address(number.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        within = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if address in _NAT64:
            within = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if within is not None:
            return public(str(within))
    return address.is_global and not address.is_multicast
