"""The log's head: a sequence, and one hash over every message up to it, to be remembered outside of the log.

The hash chain of a request tells that its history was not edited; that no whole request was taken out, and no tail cut
off and written anew, only somebody can tell who remembers the head of an earlier audit.
"""

import hashlib
import re

from msgspec import Struct

_FORM = re.compile(r"(\d{1,19}),([0-9a-f]{64})([0-9a-f]{64})\Z")
_NONE = bytes(32)


class Head(Struct, frozen=True):
    """What was read up to a message. Written ``SEQ,HASH``, HASH being `before` and `last`, 128 hex digits."""

    sequence: int = 0
    before: bytes = _NONE
    """The rolling hash of everything before the message."""
    last: bytes = _NONE
    """SHA-256 of the message's bytes: an audit that goes on from here looks whether it is still there."""

    def __str__(self) -> str:
        return f"{self.sequence},{self.before.hex()}{self.last.hex()}"

    @property
    def rolling(self) -> bytes:
        """R(n) = SHA-256(R(n-1), n as 8 bytes, SHA-256 of the bytes of message n); R(0) is 32 zero bytes."""
        if not self.sequence:
            return _NONE
        return hashlib.sha256(self.before + self.sequence.to_bytes(8, "big") + self.last).digest()

    def then(self, sequence: int, digest: bytes) -> "Head":
        """The head after the next message."""
        return Head(sequence, self.rolling, digest)


def parse_head(text: str) -> Head:
    """The inverse of ``str(head)``. Raises ValueError."""
    found = _FORM.match(text.strip())
    if not found:
        raise ValueError("expected SEQ,HASH as an earlier audit printed it: a number, a comma and 128 hex digits")
    return Head(int(found[1]), bytes.fromhex(found[2]), bytes.fromhex(found[3]))
