"""A PostgreSQL cluster: made once, whole or not at all, with one role and one database for MAGI.

The superuser can't log in over the network, and there is no Unix socket: what needs it is done here, in single-user
mode, while the server is not running. The role `magi` owns the database `magi`, may create others, and nothing more.
"""

import os
import re
import secrets
import shutil
import signal
import stat
from pathlib import Path
from typing import Final

import msgspec

from magi.embedded.errors import PostgresVersionError, ServerStartError
from magi.embedded.files import sync_directory, write_atomically
from magi.embedded.osuser import unprivileged_user, with_access
from magi.embedded.process import Command, Identity, run

NAME: Final = "PostgreSQL"
ROLE: Final = "magi"
DATABASE: Final = "magi"

_INITDB: Final = (
    "--username=postgres",
    "--auth=reject",  # until our own pg_hba.conf takes over, nobody gets in
    "--encoding=UTF8",
    "--locale-provider=builtin",  # the same order and case rules on every machine, whatever its locales
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    "--no-instructions",
    "--no-sync",  # once, at the end, when our role and database are in it too
)

_HBA: Final = f"""# Written by MAGI at every start; changes are lost.
host all {ROLE} 127.0.0.1/32 scram-sha-256
"""

_PASSWORD = re.compile(r"[A-Za-z0-9_-]{16,}\Z")
"""What `secrets.token_urlsafe` gives: needs no quoting in SQL, nor in a URL."""

ENVIRONMENT: Final = {"LC_ALL": "C", "TZ": "UTC"}
"""With a TZ, initdb need not guess one by comparing all that there are."""


class Cluster(msgspec.Struct, frozen=True):
    """Where a cluster lies and whose it is."""

    home: Path
    """DATA/postgres, MAGI's own: nothing that PostgreSQL's user could put a link in the place of is written as root."""
    programs: Path
    """The directory of `postgres` and `initdb`."""
    identity: Identity | None
    """Whom it runs as; None: as ourselves."""

    @property
    def directory(self) -> Path:
        """PGDATA."""
        return self.home / "cluster"

    @property
    def hba_file(self) -> Path:
        return self.home / "pg_hba.conf"

    @property
    def program(self) -> Path:
        return self.programs / "postgres"


async def prepare(home: Path, programs: Path, password_file: Path) -> Cluster:
    """The cluster in `home`, made if there is none (0.7 s), ready to be started; `password_file` holds the role's.

    Raises ServerStartError, PostgresVersionError, OSError.
    """
    directory = home / "cluster"
    user = unprivileged_user(directory.stat().st_uid if directory.exists() else None)
    if user is not None:
        _let_through(home.parent, user.gid)
        _let_through(home, user.gid)
        # `home` is traversable now; its parents may not be, nor those of the programs.
        libraries = (programs, programs.parent / "lib", programs.parent / "share")
        user = with_access(user, (home, *libraries), (programs / "postgres", programs / "initdb"))
        if directory.exists():
            _hand_over(directory, user)
    cluster = Cluster(home=home, programs=programs, identity=user)
    write_atomically(cluster.hba_file, _HBA.encode(), mode=0o640, group=user.gid if user else -1)
    if not directory.exists():
        await _make(cluster, password_file)
    else:
        await _check_version(cluster)
        if _kept(password_file) is None:
            password = secrets.token_urlsafe(24)
            await _single_user(cluster, directory, f"ALTER ROLE {ROLE} PASSWORD '{password}';\n")
            write_atomically(password_file, password.encode() + b"\n")
    return cluster


async def _make(cluster: Cluster, password_file: Path) -> None:
    new = cluster.home / "cluster.new"  # a killed start leaves it half made; only a whole one gets the right name
    if new.exists():
        shutil.rmtree(new)
    new.mkdir(mode=0o700)
    if cluster.identity is not None:
        os.chown(new, cluster.identity.uid, cluster.identity.gid)
    initdb = str(cluster.programs / "initdb")
    await _succeed(cluster, (initdb, f"--pgdata={new}", *_INITDB), signal.SIGTERM)
    password = _kept(password_file) or secrets.token_urlsafe(24)
    await _single_user(
        cluster,
        new,
        f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{password}';\n"
        # file_copy: one checkpoint instead of every block through the WAL, and there is nobody to wait for it
        f"CREATE DATABASE {DATABASE} OWNER {ROLE} STRATEGY file_copy;\n",
    )
    write_atomically(password_file, password.encode() + b"\n")
    await _succeed(cluster, (initdb, f"--pgdata={new}", "--sync-only"), signal.SIGTERM)
    new.rename(cluster.directory)
    sync_directory(cluster.home)


async def _single_user(cluster: Cluster, directory: Path, statements: str) -> None:
    """Run SQL, a statement a line, as the superuser of a cluster whose server is not running."""
    settings = {
        "exit_on_error": "on",  # else its exit code is 0 whatever happens
        "log_checkpoints": "off",
        "log_min_error_statement": "panic",  # no passwords in an error message
        "dynamic_shared_memory_type": "mmap",
        "fsync": "on" if directory == cluster.directory else "off",
    }
    options = tuple(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))
    command = (str(cluster.program), "--single", "-D", str(directory), *options, "postgres")
    await _succeed(cluster, command, signal.SIGINT, statements.encode())


async def _check_version(cluster: Cluster) -> None:
    """Raises PostgresVersionError when the cluster was made by another major version than the installed one."""
    file = cluster.directory / "PG_VERSION"
    made_by = file.read_text().strip() if file.exists() else "an unknown version"
    said = await _succeed(cluster, (str(cluster.program), "--version"), signal.SIGTERM)
    installed = said.split()[-1]  # "postgres (PostgreSQL) 18.6"
    if made_by != installed.partition(".")[0]:
        raise PostgresVersionError(
            f"{cluster.directory} was made by PostgreSQL {made_by}, which the installed PostgreSQL {installed} can't "
            f"read. Nothing is lost: what is in it is rebuilt from the log. Remove {cluster.home} and start again"
        )


async def _succeed(cluster: Cluster, argv: tuple[str, ...], dies_by: signal.Signals, stdin: bytes = b"") -> str:
    """Run one of the programs as the cluster's user: what it said. Raises ServerStartError if it fails."""
    command = Command(argv=argv, cwd=Path("/"), dies_by=dies_by, env=ENVIRONMENT, identity=cluster.identity)
    try:
        code, said = await run(command, stdin)
    except TimeoutError:
        raise ServerStartError(NAME, f"{Path(argv[0]).name} did not end within a minute", "") from None
    if code != 0:
        last = "\n".join(said.splitlines()[-12:])
        raise ServerStartError(NAME, f"{Path(argv[0]).name} failed with exit code {code}{_hint(said)}", last)
    return said.strip()


def _kept(password_file: Path) -> str | None:
    """The password that was written when the role got it. One that can't be ours (a quote in it) counts as none."""
    text = password_file.read_text().strip() if password_file.exists() else ""
    return text if _PASSWORD.match(text) else None


def _hint(said: str) -> str:
    if "could not look up effective user ID" in said:
        return (
            f": user id {os.geteuid()} has no name on this system, which initdb insists on; add one to /etc/passwd, or "
            "name a server with --postgres"
        )
    return ""


def _hand_over(directory: Path, user: Identity) -> None:
    """Give a cluster that root owns, such as one restored from a backup, to the user that runs it."""
    if directory.stat().st_uid == 0:
        for folder, _, files in os.walk(directory):
            for path in (folder, *(os.path.join(folder, name) for name in files)):
                os.chown(path, user.uid, user.gid, follow_symlinks=False)


def _let_through(directory: Path, group: int) -> None:
    """Let a group search one of MAGI's own directories, and no more: 0700 becomes 0710. Others keep what they have."""
    found = directory.stat()
    if found.st_uid == os.geteuid() and not found.st_mode & stat.S_IXOTH:
        os.chown(directory, -1, group)
        directory.chmod(stat.S_IMODE(found.st_mode) & ~0o070 | stat.S_IXGRP)
