"""Addresses of clients, and the networks that one client has all of."""

import ipaddress

IPV6_PREFIX = 64
"""Bits of an IPv6 address that identify a client; it may choose the others freely."""


def network_of(host: str) -> str:
    """The address, or its network where one client has all of it; another text unchanged."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.version == 4:
        return host
    mapped = address.ipv4_mapped
    return str(mapped or ipaddress.ip_network((int(address), IPV6_PREFIX), strict=False))


class Proxies:
    """Addresses and networks of trusted proxies, as `STEMMA_TRUSTED_PROXIES` lists them."""

    def __init__(self, listed: str) -> None:
        entries = [entry.strip() for entry in listed.split(",") if entry.strip()]
        self._all = "*" in entries
        self._networks = [
            ipaddress.ip_network(entry, strict=False) for entry in entries if _is_network(entry)
        ]

    def __contains__(self, host: str) -> bool:
        if self._all:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._networks)


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
