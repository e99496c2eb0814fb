"""Certificates for tests: a CA of the test's own, and what it signs, in files."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from magi.cli.dev_certs import issue, make_ca
from magi.eventstore.tls import client_context

LOOPBACK = ("127.0.0.1", "localhost")


class Pair(NamedTuple):
    cert: Path
    key: Path


class Authority:
    """A CA. `ca` is the file that others are to trust."""

    def __init__(self, folder: Path, name: str = "a test's CA") -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._issued = make_ca(datetime.now(UTC) - timedelta(days=1000), name)
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(self._issued.certificate)

    def issue(self, name: str = "server", hosts: tuple[str, ...] = LOOPBACK, *, age_days: int = 0) -> Pair:
        """A certificate that is valid for 100 days from `age_days` ago, in files of that name; they are replaced."""
        made = issue(self._issued, hosts, datetime.now(UTC) - timedelta(days=age_days), days=100)
        pair = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        for file, content in zip(pair, (made.certificate, made.key), strict=True):
            new = file.with_suffix(".new")
            new.write_bytes(content)
            new.chmod(0o600)
            new.replace(file)
        return pair

    @property
    def trust(self) -> ssl.SSLContext:
        """Of a client that trusts this CA and no other."""
        return client_context(str(self.ca))
