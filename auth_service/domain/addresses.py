"""Where a call comes from. Only configured proxies are believed, and everything else is the peer itself."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
_PORT = re.compile(r":\d{1,5}")
_FOR = re.compile(r'\s*for\s*=\s*(?:"([^"]*)"|([^\s;"]*))\s*', re.IGNORECASE)


def client_address(
    peer: str, *, forwarded_for: Sequence[str], forwarded: Sequence[str], trusted: Sequence[Network]
) -> str:
    """The rightmost hop that is no trusted proxy, or `peer` where nobody is believed.

    `forwarded_for` and `forwarded` are the values of those headers, each time one was sent, in their order. A proxy
    passes on what it does not know: where both are there and disagree, one of them is the caller's own, and the peer
    counts. So it does where a hop cannot be read.
    """
    if not trusted or not (forwarded_for or forwarded) or not _is_trusted(_read(peer), trusted):
        return peer
    told = [
        _first_untrusted(hops, trusted)
        for values, hops in ((forwarded_for, _plain_hops(forwarded_for)), (forwarded, _forwarded_hops(forwarded)))
        if values
    ]
    address = told[0]
    return address if address is not None and all(each == address for each in told) else peer


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """What counts as one place: an IPv4 address, or the /64 that one customer's IPv6 addresses are of."""
    found = _read(address)
    if isinstance(found, IPv6Address):
        return str(ip_network((found, 64), strict=False))
    return str(found) if found is not None else address


def _first_untrusted(hops: Iterator[str], trusted: Sequence[Network]) -> str | None:
    """Of `hops` from the right; the leftmost if all are trusted, None if one on the way cannot be read."""
    found = None
    for hop in hops:
        found = _read(hop)
        if found is None or not _is_trusted(found, trusted):
            break
    return str(found) if found is not None else None


def _plain_hops(values: Sequence[str]) -> Iterator[str]:
    """Of `x-forwarded-for`, from the right."""
    return (hop.strip() for value in reversed(values) for hop in reversed(value.split(",")))


def _forwarded_hops(values: Sequence[str]) -> Iterator[str]:
    """Of `forwarded` (RFC 7239), from the right; "" for a hop that does not say for whom."""
    for value in reversed(values):
        for hop in reversed(value.split(",")):
            fors = [match for pair in hop.split(";") if (match := _FOR.fullmatch(pair))]
            yield (fors[0][1] or fors[0][2] or "") if len(fors) == 1 else ""


def _read(text: str) -> IPv4Address | IPv6Address | None:
    """An address, with or without a port; an IPv4 address in IPv6's clothes is what it is."""
    if text.startswith("["):
        text, closed, port = text[1:].partition("]")
        if not closed or (port and not _PORT.fullmatch(port)):
            return None
    elif text.count(":") == 1:
        text, port = text[: text.index(":")], text[text.index(":") :]
        if not _PORT.fullmatch(port):
            return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if not isinstance(address, IPv6Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    # Without its zone, which has a meaning on that machine alone.
    return IPv6Address(int(address))


def _is_trusted(address: IPv4Address | IPv6Address | None, trusted: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in trusted)
