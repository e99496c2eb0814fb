"""Whom PostgreSQL runs as when MAGI runs as root, which PostgreSQL refuses to do, and how that user gets at its files.

Nothing is added to the system (no useradd), and no directory that isn't MAGI's gets other permissions. The user is
`magi` if the operator made one, else `nobody`: initdb wants a user that the system knows, so that any free number
won't do ("could not look up effective user ID"). What that user must reach often lies below /root (0700): a clone of
the repository, its virtual environment, the data directory. It then keeps one Linux capability of root's: to search
directories and read files (CAP_DAC_READ_SEARCH) or, where root itself lacks that one, as in a Docker container, to
ignore file permissions (CAP_DAC_OVERRIDE). PostgreSQL's superuser can't log in (`cluster.py`), so that the power stays
where it is.
"""

import os
import pwd
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

from magi.embedded.errors import ServerStartError
from magi.embedded.process import Identity

CAP_CHOWN = 0
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CAP_SETGID = 6
CAP_SETUID = 7

_TO_BECOME_SOMEONE = (CAP_CHOWN, CAP_SETGID, CAP_SETUID)

_PREFERRED = ("magi", "nobody")


def unprivileged_user(owner: int | None) -> Identity | None:
    """Whom to run as: None, ourselves, unless we are root. `owner` is the user id that existing data belongs to.

    Raises ServerStartError when root finds nobody to become.
    """
    if os.geteuid() != 0:
        return None
    if sys.platform == "linux" and any(not _our_capabilities() >> need & 1 for need in _TO_BECOME_SOMEONE):
        raise ServerStartError(
            "PostgreSQL",
            "it refuses to run as root, and this root may not become anyone else (a container without CAP_CHOWN, "
            "CAP_SETUID or CAP_SETGID); run MAGI as an ordinary user, or name a server with --postgres",
            "",
        )
    if owner:
        try:
            entry = pwd.getpwuid(owner)
        except KeyError:
            return Identity(uid=owner, gid=owner, name=str(owner))
        return Identity(uid=entry.pw_uid, gid=entry.pw_gid, name=entry.pw_name)
    for name in _PREFERRED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Identity(uid=entry.pw_uid, gid=entry.pw_gid, name=name)
    raise ServerStartError(
        "PostgreSQL",
        f"it refuses to run as root, and this system has none of the users {', '.join(_PREFERRED)} to run it as; "
        "add one (useradd --system magi), run MAGI as an ordinary user, or name a server with --postgres",
        "",
    )


def with_access(user: Identity, directories: Iterable[Path], programs: Iterable[Path]) -> Identity:
    """`user` with the least capability that lets it search `directories` and their parents and run `programs`.

    Raises ServerStartError naming what can't be reached when we don't have that capability to give.
    """
    hidden = _first(path for path in directories if not _may_reach(user, path))
    not_to_run = _first(path for path in programs if not _may(user, path, stat.S_IXOTH))
    if hidden is None and not_to_run is None:
        return user
    # CAP_DAC_READ_SEARCH doesn't let anyone run a file that isn't theirs to run (a virtual environment of umask 077).
    enough = (CAP_DAC_OVERRIDE,) if not_to_run else (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE)
    ours = _our_capabilities()
    for capability in enough:
        if ours >> capability & 1:
            return Identity(uid=user.uid, gid=user.gid, name=user.name, capability=capability)
    raise ServerStartError(
        "PostgreSQL",
        f"it refuses to run as root, and the user {user.name} can't reach {not_to_run or hidden}; put it where every "
        "user may go, run MAGI as an ordinary user, or name a server with --postgres",
        "",
    )


def _may_reach(user: Identity, path: Path) -> bool:
    return all(_may(user, directory, stat.S_IXOTH) for directory in (path, *path.parents))


def _may(user: Identity, path: Path, bit: int) -> bool:
    """Whether the permission bits grant `bit` (as it stands for others). ACLs are not asked: they cost a capability."""
    found = path.stat()
    if found.st_uid == user.uid:
        return bool(found.st_mode & bit << 6)
    if found.st_gid == user.gid:
        return bool(found.st_mode & bit << 3)
    return bool(found.st_mode & bit)


def _our_capabilities() -> int:
    """The bits of our effective capabilities; 0 where there are none (not Linux)."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:")), 0)


def _first(paths: Iterable[Path]) -> Path | None:
    return next(iter(paths), None)
