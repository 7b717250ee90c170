"""Whom an address is believed of."""

from ipaddress import ip_network

import pytest

from auth_service.domain.addresses import client_address, network_of

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]
PROXY = "10.0.0.7"


def client(peer: str = PROXY, *, forwarded_for: list[str] | None = None, forwarded: list[str] | None = None) -> str:
    return client_address(peer, forwarded_for=forwarded_for or [], forwarded=forwarded or [], trusted=TRUSTED)


@pytest.mark.parametrize(
    ("values", "address"),
    [
        (["192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1, 10.0.0.9"], "192.0.2.1"),
        (["192.0.2.1", "10.0.0.9"], "192.0.2.1"),
        (["203.0.113.9, 192.0.2.1"], "192.0.2.1"),
        (["nonsense, 192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1:4711"], "192.0.2.1"),
        (["[2001:db8::1]:4711"], "2001:db8::1"),
        (["2001:db8::1"], "2001:db8::1"),
        (["::ffff:192.0.2.1"], "192.0.2.1"),
        (["10.0.0.8, 10.0.0.9"], "10.0.0.8"),
    ],
)
def test_a_trusted_proxy_is_believed_up_to_the_first_stranger(values: list[str], address: str) -> None:
    assert client(forwarded_for=values) == address


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("for=192.0.2.1", "192.0.2.1"),
        ('For="[2001:db8::1]:4711";proto=https, for=10.0.0.9', "2001:db8::1"),
        ("proto=https; for=192.0.2.1 ;by=10.0.0.9", "192.0.2.1"),
    ],
)
def test_the_standard_header_says_the_same(value: str, address: str) -> None:
    assert client(forwarded=[value]) == address


@pytest.mark.row("S50")
@pytest.mark.parametrize("peer", ["192.0.2.66", "", "fe80::1", "11.0.0.1"])
def test_a_stranger_is_not_believed(peer: str) -> None:
    assert client(peer, forwarded_for=["198.51.100.1"], forwarded=["for=198.51.100.1"]) == peer


@pytest.mark.row("S50")
def test_without_proxies_nobody_is_believed() -> None:
    assert client_address(PROXY, forwarded_for=["192.0.2.1"], forwarded=[], trusted=[]) == PROXY


@pytest.mark.parametrize(
    "value",
    [
        *("", ",", "unknown", "192.0.2.1,", "192.0.2.1, x", "192.0.2.1:port", "1.2.3", "[::1", "[192.0.2.1]x", "::1::"),
        *("0x7f000001", "127.1", "192.0.2.1/24", "a" * 8000, "192.0.2.01", "\u0661\u0669\u0662.0.2.1"),
    ],
    ids=ascii,
)
def test_what_cannot_be_read_is_the_proxy_s_own(value: str) -> None:
    assert client(forwarded_for=[value]) == PROXY


@pytest.mark.parametrize(
    "value", ["by=192.0.2.1", "for=unknown", "for=_hidden", "for=192.0.2.1;for=192.0.2.2", 'for="']
)
def test_a_hop_that_hides_is_the_proxy_s_own(value: str) -> None:
    assert client(forwarded=[value]) == PROXY


def test_two_headers_that_disagree_are_not_believed() -> None:
    assert client(forwarded_for=["192.0.2.1"], forwarded=["for=198.51.100.1"]) == PROXY
    assert client(forwarded_for=["192.0.2.1"], forwarded=["for=192.0.2.1"]) == "192.0.2.1"


def test_one_customer_s_addresses_are_one_place() -> None:
    assert network_of("2001:db8:1:2::1") == network_of("2001:db8:1:2:ffff::2") == "2001:db8:1:2::/64"
    assert network_of("2001:db8:1:3::1") != network_of("2001:db8:1:2::1")
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1") == "192.0.2.1"
    assert network_of("") == ""
