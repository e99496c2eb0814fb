"""How another process on this machine finds the servers of a running MAGI: by the data directory alone."""

from pathlib import Path

import msgspec

from magi.embedded.datadir import holder
from magi.embedded.leftovers import is_ours
from magi.embedded.ports import LOOPBACK
from magi.embedded.postgres import url
from magi.embedded.runfile import NO_NOTE, ServerNote, read_note


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
    # A note may be older than that MAGI, left by one that was killed.
    nats = nats if _runs(nats, "nats-server", path / "nats" / "nats-server.conf") else NO_NOTE
    postgres = postgres if _runs(postgres, "postgres", path / "postgres" / "cluster") else NO_NOTE
    return Endpoints(
        pid=found.pid,
        nats_url=f"nats://{LOOPBACK}:{nats.port}" if nats.port else None,
        monitor_url=f"http://{LOOPBACK}:{nats.monitor_port}" if nats.monitor_port else None,
        nats_seed_file=path / "keys" / "magi.nk",
        postgres_url=url(postgres.port, path / "keys" / "postgres") if postgres.port else None,
    )


def _runs(note: ServerNote, program: str, over: Path) -> bool:
    return note.pid is not None and is_ours(note.pid, program, over)
