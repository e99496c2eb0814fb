"""How another process on this machine finds the servers of a running MAGI: by the data directory alone."""

from pathlib import Path

import msgspec

from magi.embedded.datadir import holder
from magi.embedded.ports import LOOPBACK
from magi.embedded.postgres import url
from magi.embedded.runfile import read_note


class Endpoints(msgspec.Struct, frozen=True):
    """The embedded servers of the MAGI that has a data directory open; None for one that it doesn't run."""

    pid: int
    """That MAGI's process id."""
    nats_url: str | None
    monitor_url: str | None
    nats_seed_file: Path
    postgres_url: str | None
    """With the password in it: for connecting, never for a log."""


def find_running(path: str | Path) -> Endpoints | None:
    """Where the servers over this data directory are; None when no MAGI has it open.

    While that MAGI is starting its servers are None yet. Raises OSError when this user may not read it.
    """
    path = Path(path).resolve()
    found = holder(path)
    if found is None:
        return None
    nats, postgres = read_note(path / "run" / "nats-server.json"), read_note(path / "run" / "postgres.json")
    password_file = path / "keys" / "postgres"
    return Endpoints(
        pid=found.pid,
        nats_url=f"nats://{LOOPBACK}:{nats.port}" if nats.pid and nats.port else None,
        monitor_url=f"http://{LOOPBACK}:{nats.monitor_port}" if nats.pid and nats.monitor_port else None,
        nats_seed_file=path / "keys" / "magi.nk",
        postgres_url=url(postgres.port, password_file) if postgres.pid and postgres.port else None,
    )
