"""nkeys: the Ed25519 keys by which nats-server knows its users. The server holds the public part only."""

import os
import re
from pathlib import Path

from magi.embedded.errors import EmbeddedError
from magi.embedded.files import write_atomically

_PUBLIC_USER_KEY = re.compile(r"U[A-Z2-7]{55}\Z")


def generate() -> tuple[str, str]:
    """A new user key: (public, seed). The seed (`SU…`) is the secret, and all that a client needs to connect."""
    import nkeys  # here, and below: it is slow to import, and most commands know their keys

    seed: bytes = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    text = seed.decode()
    return public_key(text), text


def public_key(seed: str) -> str:
    """The public key (`U…`) that belongs to a seed. Raises ValueError when it is no user's seed."""
    import nkeys

    try:
        key: bytes = nkeys.from_seed(bytearray(seed.encode())).public_key
    except (nkeys.ErrInvalidSeed, nkeys.ErrInvalidPrefixByte, ValueError) as error:
        raise ValueError(f"not the seed of an nkey: {type(error).__name__}") from None  # never the seed itself
    return check_public_key(key.decode())


def check_public_key(text: str) -> str:
    """Return `text` when it has the form of a user's public key. Raises ValueError."""
    if not _PUBLIC_USER_KEY.match(text):
        raise ValueError(f"not a user's public nkey (U and 55 of A-Z, 2-7): {text[:60]!r}")
    return text


def kept(seed_file: Path) -> str:
    """The public key whose seed is in a file; without a file, a new one is made. Raises EmbeddedError, OSError."""
    if not seed_file.exists():
        public, seed = generate()
        write_atomically(seed_file, seed.encode() + b"\n")
        return public
    try:
        return public_key(seed_file.read_text().strip())
    except ValueError as error:
        raise EmbeddedError(f"{seed_file}: {error}; remove it, and the next start makes a new one") from None
