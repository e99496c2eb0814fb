"""Which addresses may be called: what kind each is, and what a URL must look like.

The tables are our own and not `ipaddress.is_global`, whose answers changed between Python 3.11.3 and 3.13 (NAT64, 6to4,
192.0.0.0/24): what is refused must not depend on the interpreter.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, Literal

from yarl import URL

AddressKind = Literal["public", "private", "loopback", "link-local", "multicast", "unspecified", "reserved"]

Reach = frozenset[AddressKind]
"""The kinds of addresses that may be called."""

PUBLIC: Final[Reach] = frozenset({"public"})
WITH_PRIVATE: Final[Reach] = frozenset({"public", "private", "loopback"})
"""For who runs a voter on the same machine or network. Link-local stays out: it is where clouds hand out credentials
(169.254.169.254), and no service listens there."""


class AddressRefused(OSError):
    """The address, or every address of the name, is of a kind that must not be called."""


class BadUrl(ValueError):
    """Not a URL that can be called; the message says why."""


# RFC 6890 and IANA's special-purpose registries; the first match counts.
_V4: Final[tuple[tuple[IPv4Network, AddressKind], ...]] = (
    (IPv4Network("0.0.0.0/8"), "unspecified"),  # Linux connects 0.0.0.0 to itself
    (IPv4Network("10.0.0.0/8"), "private"),
    (IPv4Network("100.64.0.0/10"), "private"),
    (IPv4Network("127.0.0.0/8"), "loopback"),
    (IPv4Network("169.254.0.0/16"), "link-local"),
    (IPv4Network("172.16.0.0/12"), "private"),
    (IPv4Network("192.0.0.0/24"), "reserved"),
    (IPv4Network("192.0.2.0/24"), "reserved"),
    (IPv4Network("192.88.99.0/24"), "reserved"),
    (IPv4Network("192.168.0.0/16"), "private"),
    (IPv4Network("198.18.0.0/15"), "reserved"),
    (IPv4Network("198.51.100.0/24"), "reserved"),
    (IPv4Network("203.0.113.0/24"), "reserved"),
    (IPv4Network("224.0.0.0/4"), "multicast"),
    (IPv4Network("240.0.0.0/4"), "reserved"),
)
_V6: Final[tuple[tuple[IPv6Network, AddressKind], ...]] = (
    (IPv6Network("::/128"), "unspecified"),
    (IPv6Network("::1/128"), "loopback"),
    (IPv6Network("fc00::/7"), "private"),
    (IPv6Network("fe80::/10"), "link-local"),
    (IPv6Network("ff00::/8"), "multicast"),
    (IPv6Network("2001::/23"), "reserved"),  # with Teredo, 2001::/32
    (IPv6Network("2001:db8::/32"), "reserved"),
    (IPv6Network("3fff::/20"), "reserved"),
    (IPv6Network("2000::/3"), "public"),  # all that is given out; what is outside stays reserved
)
# An IPv4 address inside an IPv6 one: the network, and how many bits stand behind the address.
_EMBEDDED: Final[tuple[tuple[IPv6Network, int], ...]] = (
    (IPv6Network("::ffff:0:0/96"), 0),  # v4-mapped
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (IPv6Network("2002::/16"), 80),  # 6to4
)


def kind_of(address: IPv4Address | IPv6Address) -> AddressKind:
    """What kind of address it is; of one that stands for an IPv4 address, what that one is."""
    if isinstance(address, IPv4Address):
        return next((kind for network, kind in _V4 if address in network), "public")
    for network, behind in _EMBEDDED:
        if address in network:
            return kind_of(IPv4Address(int(address) >> behind & 0xFFFF_FFFF))
    return next((kind for network, kind in _V6 if address in network), "reserved")


def check(address: str, reach: Reach) -> None:
    """Raises AddressRefused when the numeric `address` may not be called, or is none."""
    try:
        kind = kind_of(ip_address(address))
    except ValueError:
        raise AddressRefused(f"{address!r} is not an address") from None
    if kind not in reach:
        raise AddressRefused(f"{address}: {kind} addresses may not be called")


def allowed(addresses: Iterable[str], reach: Reach) -> list[str]:
    """Those of a name's addresses that may be called. Raises AddressRefused when there is none."""
    found, refused = [], AddressRefused("the name has no address")
    for address in addresses:
        try:
            check(address, reach)
            found.append(address)
        except AddressRefused as error:
            refused = error
    if not found:
        raise refused
    return found


def parsed_url(text: str) -> URL:
    """A URL of http or https with a host. Raises BadUrl."""
    try:
        url = URL(text)
        port = url.port
    except ValueError as error:
        raise BadUrl(f"not a URL: {error}") from None
    if url.scheme not in ("http", "https"):
        raise BadUrl("not a URL of http or https")
    if not url.host or not port:
        raise BadUrl("a URL without a host or a port")
    if url.user is not None or url.password is not None:
        raise BadUrl("a URL with a user or a password in it: it is no secret, and they would be")
    return url


def checked_url(text: str, reach: Reach) -> URL:
    """`parsed_url` of what can be called, as far as can be known without asking what its name stands for.

    Raises BadUrl, and AddressRefused when its host is an address that may not be called.
    """
    url = parsed_url(text)
    try:
        ip_address(url.host or "")
    except ValueError:
        return url
    check(url.host or "", reach)
    return url


def is_here(url: str) -> bool:
    """Whether a URL names this machine as only itself can: ``localhost`` or a loopback address. Raises BadUrl."""
    host = parsed_url(url).host or ""
    try:
        return kind_of(ip_address(host)) == "loopback"
    except ValueError:
        return host == "localhost"
