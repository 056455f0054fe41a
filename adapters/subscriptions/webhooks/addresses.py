"""Which URLs may be called: none that leads into the operator's own network, unless allowed.

A host is judged by the addresses that it resolves to, and the connection then goes to one of these
very addresses: what a name says a moment later does not matter, nor how an address is spelt.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

import httpx
import msgspec

from adapters.settings import SettingsError

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a host and a port to addresses. Raises `OSError` where there are none."""

_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")
_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""What IANA has addresses given out of. NAT64 (64:ff9b::/96), which leads to any IPv4 address, and
other wrappings of those lie outside."""

# What the standard library, of one version or another, holds for public.
_NOT_PUBLIC = [
    ip_network(network)
    for network in (
        "168.63.129.16/32",  # Azure's host, for virtual machines: metadata and credentials
        "192.0.0.0/24",  # protocol assignments (RFC 6890); Oracle's metadata
        "192.88.99.0/24",  # 6to4 relays (RFC 7526)
        "2001::/23",  # protocol assignments (RFC 2928), Teredo among them
        "2002::/16",  # 6to4 (RFC 3056), which leads to any IPv4 address
        "3fff::/20",  # documentation (RFC 9637)
    )
]
# A name server that hangs holds a thread: not one that others of the process need.
_RESOLVERS = ThreadPoolExecutor(32, thread_name_prefix="resolver")


class Refused(Exception):
    """The URL may not be called; the message says why and what to do."""


class Allowed(msgspec.Struct, frozen=True):
    """What the operator allows beyond public addresses and https."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    def includes(self, address: Address) -> bool:
        return any(address in network for network in self.networks)


def allowed_in(setting: str) -> Allowed:
    """Hosts, addresses and networks with commas between. Raises `SettingsError`."""
    hosts, networks = set(), []
    for entry in filter(None, (part.strip().lower() for part in setting.split(","))):
        try:
            networks.append(ip_network(entry))
        except ValueError:
            if not re.fullmatch(r"[a-z0-9._-]+", entry) or re.fullmatch(r"[0-9.]+", entry):
                raise SettingsError(
                    f"STEMMA_WEBHOOK_ALLOW has {entry!r}, which is neither a host nor a network"
                    " such as 10.1.0.0/16"
                ) from None
            hosts.add(entry.rstrip("."))
    return Allowed(frozenset(hosts), tuple(networks))


def parsed(url: str) -> httpx.URL:
    """The URL as it will be called. Raises `Refused` for what is no URL of a web server."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise Refused(f"the URL is not valid: {error}") from error
    if parsed.scheme not in {"http", "https"}:
        raise Refused("the URL begins neither with https:// nor with http://")
    if parsed.userinfo:
        raise Refused(
            "the URL has a user name or password; remove them: messages are signed, and other"
            " information for the receiver can be in the path"
        )
    if not _HOST.fullmatch(host_of(parsed)):
        raise Refused("the URL has no host, or its host has invalid characters")
    if parsed.port is not None and not 0 < parsed.port < 65536:
        raise Refused(f"the port of the URL must be at most 65535, got {parsed.port}")
    if parsed.fragment or "#" in url:
        raise Refused("the URL has a fragment, which is never sent; remove the # and what follows")
    return parsed


def host_of(url: httpx.URL) -> str:
    """The host in ASCII, without the dot that may end it."""
    return url.raw_host.decode().rstrip(".").lower()


async def resolve(host: str, port: int) -> list[str]:
    """The addresses that this machine finds, in the order to try them (RFC 6724)."""
    loop = asyncio.get_running_loop()
    infos = await loop.run_in_executor(
        _RESOLVERS, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    )
    return [str(address[0]) for *_, address in infos]


class Gate:
    """Says to which addresses a URL leads, if it may be called at all."""

    def __init__(self, allowed: Allowed, resolve: Resolve = resolve) -> None:
        self._allowed = allowed
        self._resolve = resolve

    async def addresses(self, url: httpx.URL) -> list[str]:
        """Raises `Refused`; one address of a host that may not be called is enough."""
        host = host_of(url)
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            resolved = list(dict.fromkeys(await self._resolve(host, port)))
        except (OSError, UnicodeError) as error:
            raise Refused(f"{host} cannot be resolved: {error}") from error
        if not resolved:
            raise Refused(f"{host} has no address")
        if host not in self._allowed.hosts:
            inside = [self._allowed.includes(_plain(address)) for address in resolved]
            for address, within in zip(resolved, inside, strict=True):
                if not within and not is_public(_plain(address)):
                    raise Refused(
                        f"{host} is at {address}, which is not a public address; an operator can"
                        " allow it in STEMMA_WEBHOOK_ALLOW"
                    )
            if url.scheme != "https" and not all(inside):
                raise Refused(
                    f"the URL begins with http://; use https://, or let an operator allow {host}"
                    " in STEMMA_WEBHOOK_ALLOW"
                )
        return resolved


def is_public(address: Address) -> bool:
    """Whether the address is one of the internet's, which anybody may call."""
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and (isinstance(address, IPv4Address) or address in _GLOBAL_UNICAST)
        and not any(address in network for network in _NOT_PUBLIC)
    )


def _plain(text: str) -> Address:
    """The address, an IPv4 address that is mapped into IPv6 as that."""
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
