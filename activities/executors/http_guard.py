"""Which addresses of a host are asked, and that the one which was looked at is the one that is connected to.

1. The name is resolved once. Every address that it has must be allowed, or none is asked: a name that also points
   elsewhere is not what the operator listed.
2. What is connected to are these addresses, as numbers: a name that points elsewhere a moment later changes nothing.
   The host in the request and in TLS stays the name.
3. Allowed are addresses of the public internet, and what the operator listed for that host: not loopback, private,
   link-local, multicast or reserved ones, nor those by which an IPv6 address carries an IPv4 one. The addresses of
   clouds' metadata services are asked only where one is listed alone.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from aiohttp.abc import AbstractResolver, ResolveResult

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]

# Amazon, Google, Azure, Oracle, DigitalOcean; Amazon by IPv6; Azure's own agent; Alibaba; Oracle.
_METADATA = frozenset(
    ip_address(text)
    for text in ("169.254.169.254", "fd00:ec2::254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "169.254.170.2")
)
# What is written in these reaches an IPv4 address, by whoever translates: mapped, compatible, NAT64, 6to4, Teredo.
_CARRIERS = tuple(
    ip_network(text) for text in ("::ffff:0:0/96", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
)


class AddressRefusedError(Exception):
    """The host has an address that nobody allowed; nothing was sent."""


def is_allowed(address: Address, networks: Sequence[Network]) -> bool:
    """Whether an address may be asked.

    Args:
        address: without a zone; one of IPv4 that IPv6 only maps counts as what it is.
        networks: what the operator listed for the host.
    """
    plain = address.ipv4_mapped if isinstance(address, IPv6Address) and address.ipv4_mapped else address
    listed = [network for network in networks if plain in network]
    if plain in _METADATA:
        return any(network.num_addresses == 1 for network in listed)
    if listed:
        return True
    if any(address in carrier for carrier in _CARRIERS):
        return False
    ordinary = address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)
    return ordinary and not (address.is_loopback or address.is_link_local or address.is_private)


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """Every address that the system's resolver knows of a name.

    Raises:
        OSError: it knows none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(item[4][0]) for item in found))


async def checked_addresses(host: str, port: int, networks: Sequence[Network], resolve: Resolve) -> "Checked":
    """The addresses of a host, all of them allowed.

    Raises:
        AddressRefusedError: one is not.
        OSError: there is none.
    """
    found = await resolve(host, port)
    if not found:
        raise OSError(f"{host} has no address")
    for text in found:
        try:
            address = ip_address(text)
        except ValueError:
            raise AddressRefusedError(f"{host} has an address that is none") from None
        if (isinstance(address, IPv6Address) and address.scope_id) or not is_allowed(address, networks):
            raise AddressRefusedError(
                f"{host} is at {text[:60]}, which is not of the public internet: list it in networks of the host, "
                "if that is meant"
            )
    return Checked(found)


class Checked(AbstractResolver):
    """Resolves to the addresses that were looked at, whatever is asked for."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = tuple(addresses)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in self._addresses
            if family in (socket.AF_UNSPEC, socket.AF_INET6 if ":" in address else socket.AF_INET)
        ]

    async def close(self) -> None:
        """It holds nothing."""
