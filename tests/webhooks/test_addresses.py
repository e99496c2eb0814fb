"""Which addresses are public, and which are something else in disguise."""

from ipaddress import IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magi.webhooks.addresses import (
    PUBLIC,
    WITH_PRIVATE,
    AddressKind,
    AddressRefused,
    BadUrl,
    allowed,
    check,
    checked_url,
    is_here,
    kind_of,
)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("8.8.8.8", "public"),
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "unspecified"),
        ("10.255.0.1", "private"),
        ("100.64.0.1", "private"),
        ("100.128.0.1", "public"),
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("169.254.169.254", "link-local"),
        ("172.15.255.255", "public"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("172.32.0.1", "public"),
        ("192.0.0.8", "reserved"),
        ("192.0.2.1", "reserved"),
        ("192.168.1.1", "private"),
        ("198.18.0.1", "reserved"),
        ("203.0.113.7", "reserved"),
        ("224.0.0.1", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("2606:4700::1111", "public"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::7f00:1", "reserved"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("fec0::1", "reserved"),
        ("fd00:ec2::254", "private"),
        ("ff02::1", "multicast"),
        ("2001:db8::1", "reserved"),
        ("2001:0:7f00:1::", "reserved"),
        ("3fff::1", "reserved"),
        ("100::1", "reserved"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:8.8.8.8", "public"),
        ("::ffff:169.254.169.254", "link-local"),
        ("64:ff9b::10.0.0.1", "private"),
        ("64:ff9b::8.8.8.8", "public"),
        ("64:ff9b:1::a00:1", "reserved"),
        ("2002:7f00:1::", "loopback"),
        ("2002:a00:1::5", "private"),
        ("2002:808:808::", "public"),
    ],
)
def test_an_address_has_its_kind(text: str, kind: AddressKind) -> None:
    assert kind_of(ip_address(text)) == kind


@given(st.ip_addresses())
def test_nothing_is_public_that_python_knows_to_be_special(address: object) -> None:
    address = ip_address(str(address))
    if kind_of(address) == "public" and not (isinstance(address, IPv6Address) and address.ipv4_mapped):
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved or address in _NAT64


class _Nat64:
    def __contains__(self, address: object) -> bool:
        return str(address).startswith("64:ff9b::")


_NAT64 = _Nat64()


def test_private_addresses_may_be_called_when_allowed_but_link_local_ones_never() -> None:
    check("10.0.0.1", WITH_PRIVATE)
    check("::1", WITH_PRIVATE)
    for address in ("169.254.169.254", "fe80::1", "0.0.0.0", "224.0.0.1", "240.0.0.1"):
        with pytest.raises(AddressRefused):
            check(address, WITH_PRIVATE)


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(AddressRefused, match="not an address"):
        check("localhost", WITH_PRIVATE)


def test_of_a_names_addresses_those_that_may_be_called_are_left() -> None:
    assert allowed(["10.0.0.1", "8.8.8.8", "::1"], PUBLIC) == ["8.8.8.8"]
    with pytest.raises(AddressRefused, match="loopback"):
        allowed(["10.0.0.1", "::1"], PUBLIC)
    with pytest.raises(AddressRefused):
        allowed([], PUBLIC)


@pytest.mark.parametrize(
    "text",
    [
        "ftp://example.org/",
        "file:///etc/passwd",
        "example.org",
        "http://",
        "http:///path",
        "http://user:password@example.org/",
        "http://user@example.org/",
        "http://example.org:99999/",
        "http://[::1/",
    ],
)
def test_a_url_that_cant_be_called_is_refused(text: str) -> None:
    with pytest.raises(BadUrl):
        checked_url(text, PUBLIC)


@pytest.mark.parametrize("text", ["http://127.0.0.1/", "https://[::1]:8443/x", "http://[::ffff:10.0.0.1]/"])
def test_a_url_with_a_forbidden_address_is_refused_before_anything_is_called(text: str) -> None:
    with pytest.raises(AddressRefused):
        checked_url(text, PUBLIC)
    checked_url(text, WITH_PRIVATE)


def test_a_url_with_a_name_is_taken_as_it_is() -> None:
    assert checked_url("https://example.org/judge?v=1", PUBLIC).host == "example.org"


def test_only_loopback_is_here() -> None:
    assert is_here("http://localhost:80")
    assert is_here("http://127.0.0.1")
    assert is_here("http://[::1]:9")
    assert not is_here("http://10.0.0.1")
    assert not is_here("https://example.org")
