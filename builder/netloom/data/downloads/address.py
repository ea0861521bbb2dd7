"""Checks of download addresses: no local files, and no addresses inside the network of this machine (server-side
request forgery)."""

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

# 1: users of a server can download. 0: nobody can. Unset: only the command line can.
DOWNLOADS, PRIVATE = variable("allow_downloads"), variable("allow_private_downloads")
HUB = "hf:"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# IPv6 networks that embed an IPv4 address: 6to4, NAT64 and Teredo would lead to it.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class FetchError(DataError):
    """Nothing was downloaded; the message is one sentence for users."""


@dataclass(frozen=True)
class RemoteSource:
    """An `address` on the web, or a name on the hub."""

    kind: Literal["address", "hub"]
    name: str


def remote_source(text: str) -> RemoteSource | None:
    """Return the requested download; None if the text is the name of a file."""
    if text.startswith(HUB):
        return RemoteSource("hub", text.removeprefix(HUB).strip())
    return RemoteSource("address", text.strip()) if _SCHEME.match(text.strip()) else None


def allowed(*, server: bool) -> bool:
    """Return whether downloads are allowed: on the command line unless forbidden, on a server only if enabled."""
    return not server if settings.allow_downloads is None else settings.allow_downloads


def refuse_unless_allowed(*, server: bool) -> None:
    """Check that downloads are allowed.

    Raises:
        FetchError: they are not allowed here.
    """
    if not allowed(server=server):
        raise FetchError(
            f"Downloads are disabled on this server; its operator can allow them with {DOWNLOADS}=1. "
            "Download the file yourself and add it."
        )


def split(address: str) -> SplitResult:
    """Return the parts of an address.

    Raises:
        FetchError: it is not a web address.
    """
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise FetchError(
            f"{plain(address)[:100]!r} is not a URL; write it like https://example.org/data.csv."
        ) from None
    if parts.scheme.lower() not in ("http", "https"):
        raise FetchError(
            f"{plain(address)[:100]!r} begins with {plain(parts.scheme)[:20]}://; only http:// and https:// are "
            "fetched."
        )
    if not parts.hostname or port == 0:
        raise FetchError(f"{plain(address)[:100]!r} does not name a host; write it like https://example.org/data.csv.")
    if parts.username or parts.password:
        raise FetchError("A URL with a user name or password is not supported; download the file yourself and add it.")
    return parts


def resolve(host: str, port: int, *, private: bool) -> list[tuple[int, str]]:
    """Return the IP addresses of a host, each with its family, all of which are allowed.

    Raises:
        FetchError: the name is unknown, or one of its addresses is inside the network of this machine.
    """
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise FetchError(
            f"The host {plain(host)[:100]!r} cannot be found. Check the URL and the network connection, or download "
            "the file elsewhere and add it."
        ) from None
    numbers = [(int(family), str(socket_address[0])) for family, _, _, _, socket_address in infos]
    if not private:
        for _, number in numbers:
            if not public(number):
                raise FetchError(
                    f"{plain(host)[:100]!r} is in the private network of this machine ({number}), from which downloads "
                    f"are refused; the operator of Netloom can allow them with {PRIVATE}=1."
                )
    return numbers


def public(number: str) -> bool:
    """Return whether an IP address is on the public internet."""
    address = ipaddress.ip_address(number.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        within = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if address in _NAT64:
            within = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if within is not None:
            return public(str(within))
    return address.is_global and not address.is_multicast
