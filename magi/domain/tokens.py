"""Access tokens: opaque, recognisable, checkable offline, stored only as a hash.

``magi_i_`` (Initiator) or ``magi_v_`` (Voter), 30 random characters of base 62 (178 bits), and 6 of the CRC-32 of
what stands before them: a scanner can tell a real token from a lookalike without asking us.
"""

import hashlib
import zlib
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from magi.domain.clock import milliseconds
from magi.domain.errors import InvalidMessage

TokenKind = Literal["i", "v"]

INITIATE, READ, ADMIN = "initiate", "read", "admin"
"""What an Initiator's token may be good for: to submit and read what it submitted, or only to read. `admin` is
reserved: nothing can be administered over the wire yet, so none is issued."""

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGITS = frozenset(_ALPHABET)
_RANDOM = 30
_CHECK = 6
ENTROPY = 24
"""Random bytes that `new_token` takes: 192 bits, of which 178 are used."""


def _base62(number: int, width: int) -> str:
    digits = ""
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits = _ALPHABET[digit] + digits
    return digits


def new_token(kind: TokenKind, entropy: bytes) -> str:
    """A token made of `entropy`, which must be `ENTROPY` fresh random bytes. Raises ValueError when they are fewer."""
    if len(entropy) < ENTROPY:
        raise ValueError(f"entropy: expected {ENTROPY} random bytes, got {len(entropy)}")
    body = f"magi_{kind}_{_base62(int.from_bytes(entropy, 'big'), _RANDOM)}"
    return body + _base62(zlib.crc32(body.encode()), _CHECK)


def is_token(text: str, kind: TokenKind) -> bool:
    """Whether `text` has the form and the checksum of a token of this kind. Says nothing about its being valid."""
    prefix = f"magi_{kind}_"
    if not text.startswith(prefix) or len(text) != len(prefix) + _RANDOM + _CHECK:
        return False
    if not _DIGITS.issuperset(text[len(prefix) :]):
        return False
    return text[-_CHECK:] == _base62(zlib.crc32(text[:-_CHECK].encode()), _CHECK)


def token_hash(token: str) -> str:
    """SHA-256 (hex) of a token: what is stored. A fast hash is enough for 178 random bits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def token_id(sha256: str) -> str:
    """Names a token without telling it: the first 12 characters of its hash."""
    return sha256[:12]


class Token(Struct, frozen=True):
    """What is kept of a token."""

    sha256: str
    scopes: tuple[str, ...]
    expires: str = ""
    """RFC 3339; empty: never."""
    issued: str = ""
    """RFC 3339."""

    def has_expired(self, now: int) -> bool:
        """At `now`, in milliseconds since 1970."""
        return bool(self.expires) and now >= milliseconds(self.expires)


def vote_scope(voter_id: str) -> str:
    """The scope of a voter's tokens."""
    return f"vote:{voter_id}"


def check_initiator_scopes(scopes: Sequence[str]) -> tuple[str, ...]:
    """The scopes that a new token of an Initiator gets, sorted; none means `initiate`. Raises InvalidMessage."""
    for scope in scopes:
        if scope == ADMIN:
            raise InvalidMessage("scope: admin is reserved: there is nothing that it would allow yet")
        if scope not in (INITIATE, READ):
            raise InvalidMessage(f"scope: expected {INITIATE} or {READ}, got {scope[:80]!r}")
    return tuple(sorted(set(scopes))) or (INITIATE,)


def check_expiry(expires: str, now: int) -> str:
    """When a new token expires, or empty for never. Raises InvalidMessage when it would have expired at `now`."""
    if expires and milliseconds(expires) <= now:
        raise InvalidMessage(f"expires: expected a time to come, got {expires}")
    return expires
