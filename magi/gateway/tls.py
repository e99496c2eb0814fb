"""The gateway's certificate: loaded, looked at every second, and taken anew when its files have changed.

New connections get the new one; those that are open keep theirs. No signal is needed: whatever renews certificates
puts files in their place. A pair of files that doesn't fit (yet) leaves the old one in use.
"""

import asyncio
import ssl
from pathlib import Path

import structlog

from magi.eventstore.tls import OLDEST, BadTlsFile, load_certificate

log = structlog.get_logger(__name__)

LOOK_EVERY = 1.0
"""Seconds. Two calls of stat, which cost 2 µs."""

_Seen = tuple[tuple[int, int, int], ...]


class Certificate:
    """A certificate and its key, in files, as a server shows it."""

    def __init__(self, cert: Path, key: Path) -> None:
        """Raises BadTlsFile."""
        self._files = (cert, key)
        self._seen = self._look()
        self._latest = self._load()
        self.context = self._load()
        """For the server's whole life: hands every new connection on to the latest certificate."""
        self.context.sni_callback = self._choose

    async def watch(self) -> None:
        """Take the files anew whenever they have changed. Never returns."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            self.refresh()

    def refresh(self) -> None:
        """Take the files anew if they have changed."""
        seen = self._look()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._latest = self._load()
        except BadTlsFile as error:
            # Between the two renames of a renewal, as a rule: the second one is seen, too.
            log.warning("certificate_kept", error=str(error))
        else:
            log.info("certificate_renewed", file=str(self._files[0]))

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, context: ssl.SSLContext) -> None:
        # Loading into the context in place would leave an old certificate of another key type beside the new one.
        connection.context = self._latest

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = OLDEST
        load_certificate(context, *self._files)
        return context

    def _look(self) -> _Seen:
        return tuple(_state(file) for file in self._files)


def find_certificate(cert: str, key: str) -> Certificate | None:
    """That of the files that the settings name; None when they name none. Raises BadTlsFile."""
    if not cert and not key:
        return None
    if not cert or not key:
        raise BadTlsFile("both have to be set, or none")
    return Certificate(Path(cert), Path(key))


def _state(file: Path) -> tuple[int, int, int]:
    try:
        found = file.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_size, found.st_mtime_ns)
