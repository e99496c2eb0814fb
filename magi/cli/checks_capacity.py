"""What `magi doctor` looks at in limits that only show under load: payload, connections, open files.

Each `judge_…` is pure; each `check_…` looks and has it judged.
"""

import re
import resource
from pathlib import Path

import msgspec
from msgspec import Struct

from magi.cli.context import Context
from magi.cli.findings import Finding, error, ok, warning
from magi.cli.http_get import CannotGet, get
from magi.cli.sizes import rough_size
from magi.embedded.runfile import read_note
from magi.eventstore.bus import Bus

LARGEST = 1024 * 1024
"""Bytes: the largest message that the streams take (`max_msg_size`)."""
MUCH = 0.8
"""Of a server's connections."""
OTHERS = 64
"""Files that a gateway has open besides its clients."""
_NOFILE = re.compile(r"^Max open files\s+(\d+|unlimited)", re.MULTILINE)


def check_payload(bus: Bus) -> Finding:
    """Whether nats-server takes as large messages as the streams do."""
    return judge_payload(bus.nc.max_payload)


def judge_payload(max_payload: int) -> Finding:
    found = f"messages of up to {rough_size(max_payload)}"
    if max_payload < LARGEST:
        means = f"{found}; a large submission becomes an event of up to {rough_size(LARGEST)}, which is refused then"
        return error("max_payload", means, "set max_payload to 4MB in nats-server's configuration")
    return ok("max_payload", found)


class Varz(Struct, frozen=True):
    """What nats-server says of its connections; 0: not said."""

    connections: int = 0
    max_connections: int = 0


async def check_connections(monitor_url: str) -> list[Finding]:
    """How many clients nats-server has, and takes."""
    if not monitor_url:
        return []
    try:
        _, body = await get(f"{monitor_url.rstrip('/')}/varz")
        return judge_connections(msgspec.json.decode(body, type=Varz))
    except (CannotGet, msgspec.DecodeError):
        return []  # that it can't be read is said where its sync_interval is looked for


def judge_connections(varz: Varz) -> list[Finding]:
    if varz.max_connections and varz.connections >= MUCH * varz.max_connections:
        found = f"{varz.connections} of {varz.max_connections} to nats-server"
        return [
            warning("connections", found, "raise max_connections in nats-server's configuration, and its open files")
        ]
    return []


def check_files(ctx: Context) -> Finding:
    """How many files, so connections, a gateway may have open: the running one's, else what this shell gives one."""
    pid = read_note(ctx.data / "run" / "gateway.json").pid
    limit = _limit_of(pid) if pid else None
    whose = "the gateway's" if limit is not None else "this shell's"
    if limit is None:
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return judge_files(limit, ctx.settings.gateway.quotas.connections, whose)


def _limit_of(pid: int) -> int | None:
    try:
        found = _NOFILE.search(Path(f"/proc/{pid}/limits").read_text())
    except OSError:
        return None
    if not found:
        return None
    return -1 if found[1] == "unlimited" else int(found[1])


def judge_files(limit: int, connections: int, whose: str) -> Finding:
    """`limit`: open files, below 0 no limit; `connections`: what one Initiator may hold, 0 no quota."""
    check = "open files"
    if limit < 0:
        return ok(check, f"no limit ({whose})")
    found = f"{limit} ({whose})"
    if limit < max(connections, 1_000) + OTHERS:
        what = f"one Initiator may hold {connections} connections" if connections else "connections have no quota"
        return warning(
            check,
            f"{found}, and {what}: beyond it nobody can connect",
            "LimitNOFILE= in its systemd unit (or `ulimit -n`), or lower gateway.quotas.connections",
        )
    return ok(check, found)
