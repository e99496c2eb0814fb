"""Where the parts of a `magi serve` are scraped: kept in ``DATA/run/scrape-targets.json``, for Prometheus' file_sd."""

from pathlib import Path

import msgspec
from msgspec import Struct

from magi.embedded.files import write_atomically
from magi.embedded.runfile import read_note
from magi.telemetry.metric import EVERY_PART

FILE = "scrape-targets.json"


class Target(Struct, frozen=True):
    """One part's operations port."""

    part: str
    address: str
    """``host:port``"""


def find_targets(run: Path, host: str) -> list[Target]:
    """Those of the parts that have left a note in ``DATA/run``; they listen on `host`."""
    ports = {part: read_note(run / f"{part}.json").operations_port for part in EVERY_PART}
    return [Target(part, address(host, port)) for part, port in ports.items() if port]


def address(host: str, port: int) -> str:
    """As this machine reaches it."""
    if host in ("", "0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1" if host != "::" else "::1"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def as_file_sd(targets: list[Target]) -> bytes:
    """The format of Prometheus' file_sd_configs."""
    found = [{"targets": [target.address], "labels": {"job": "magi", "part": target.part}} for target in targets]
    return msgspec.json.format(msgspec.json.encode(found)) + b"\n"


def write_targets(run: Path, host: str) -> None:
    """Write the list anew. Raises OSError."""
    write_atomically(run / FILE, as_file_sd(find_targets(run, host)))
