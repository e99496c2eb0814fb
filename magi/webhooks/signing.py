"""Signatures after Standard Webhooks (www.standardwebhooks.com): who sent a message, and that it is whole and new.

What is signed is ``<webhook-id>.<webhook-timestamp>.<body>``: not the URL. A body must say itself what it is about.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"

PREFIX: Final = "whsec_"
LEAST, MOST = 24, 64
"""Bytes of a secret, as the standard has it."""
TOLERANCE: Final = 300
"""Seconds that a timestamp may be off, before and after: the standard's own figure."""
_VERSION: Final = "v1"
_SIGNATURES: Final = 16
"""The most signatures that are looked at: two are enough to change a secret without a gap."""
_ID_LENGTH: Final = 256

Flaw = Literal["missing", "malformed", "old", "early", "forged"]


class BadSecret(ValueError):
    """Not a secret. The message doesn't quote it."""


class BadSignature(Exception):
    """The message is not to be believed. `flaw` says why in one word."""

    def __init__(self, flaw: Flaw, message: str) -> None:
        super().__init__(message)
        self.flaw: Flaw = flaw


class Secret:
    """A shared key. It doesn't show itself in logs and tracebacks."""

    __slots__ = ("_key",)

    def __init__(self, text: str) -> None:
        """From its written form, ``whsec_<base64>``. Raises BadSecret."""
        if not text.startswith(PREFIX):
            raise BadSecret(f"a secret begins with {PREFIX}")
        try:
            key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
        except (binascii.Error, ValueError):
            raise BadSecret(f"what follows {PREFIX} is not base64") from None
        if not LEAST <= len(key) <= MOST:
            raise BadSecret(f"a secret has {LEAST} to {MOST} bytes, this one {len(key)}")
        self._key = key

    def sign(self, message_id: str, timestamp: int, body: bytes) -> str:
        """One signature, with its version."""
        signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
        return f"{_VERSION},{base64.b64encode(hmac.digest(self._key, signed, hashlib.sha256)).decode()}"

    def __repr__(self) -> str:
        return "Secret(…)"


class Verified(Struct, frozen=True):
    """What the headers of a good message say."""

    message_id: str
    timestamp: int
    """Unix time in seconds."""


def new_secret(entropy: bytes) -> str:
    """A secret made of 24 to 64 fresh random bytes, in its written form. Raises BadSecret for fewer or more."""
    text = PREFIX + base64.b64encode(entropy).decode()
    Secret(text)
    return text


def signed_headers(secrets: Sequence[Secret], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers; signed with each of the secrets, so that one of them can be replaced on the other side.

    Raises ValueError for a `message_id` with a dot in it: what is signed has dots between its parts.
    """
    if "." in message_id:
        raise ValueError(f"message id {message_id!r} has a dot in it")
    return {
        ID: message_id,
        TIMESTAMP: str(timestamp),
        SIGNATURE: " ".join(secret.sign(message_id, timestamp, body) for secret in secrets),
    }


def verify(
    secrets: Sequence[Secret], headers: Mapping[str, str], body: bytes, now: float, tolerance: float = TOLERANCE
) -> Verified:
    """What the headers say, when one signature fits one of the secrets and the timestamp is near `now` (Unix time).

    `headers` finds names in lower case. Raises BadSignature. That a message is seen twice is for the caller to notice,
    by its id.
    """
    message_id, written, signatures = (headers.get(name, "") for name in (ID, TIMESTAMP, SIGNATURE))
    if not (message_id and written and signatures):
        raise BadSignature("missing", f"{ID}, {TIMESTAMP} and {SIGNATURE} are needed")
    if len(message_id) > _ID_LENGTH or not message_id.isascii() or "." in message_id:
        # A dot would leave it open where the id ends and the timestamp begins.
        raise BadSignature("malformed", f"{ID} is not ASCII without a dot, of at most {_ID_LENGTH} characters")
    if not (written.isascii() and written.isdigit() and len(written) <= 12):
        raise BadSignature("malformed", f"{TIMESTAMP} is not Unix time in seconds")
    timestamp = int(written)
    if not _fits(signatures, [secret.sign(message_id, timestamp, body) for secret in secrets]):
        raise BadSignature("forged", "no signature fits")
    # After the signature: who can't sign isn't told about our clock.
    if timestamp < now - tolerance:
        raise BadSignature("old", f"{TIMESTAMP} is more than {tolerance:.0f} s ago")
    if timestamp > now + tolerance:
        raise BadSignature("early", f"{TIMESTAMP} is more than {tolerance:.0f} s ahead")
    return Verified(message_id, timestamp)


def _fits(given: str, expected: Sequence[str]) -> bool:
    """Whether one of the signatures is as expected, in a time that doesn't tell which or how nearly."""
    fits = False
    for signature in given.split()[:_SIGNATURES]:
        for other in expected:
            fits |= hmac.compare_digest(signature.encode(errors="replace"), other.encode())
    return fits
