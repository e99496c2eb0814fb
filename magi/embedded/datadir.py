"""The data directory: what lies where, who may read it, which format it is in, and that only one MAGI uses it.

lock            held for the life of the process that has it open; names its holder
version         the data's format and the program that made it
keys/           seeds and passwords
nats/           nats-server's configuration, its users, and JetStream's files: the log
postgres/       the projections' database
run/            which servers run, and where: of no use once they have ended
logs/           what the servers say
"""

import errno
import fcntl
import os
import pwd
import socket
import time
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from magi.embedded.errors import DataDirError, DataDirLocked, DataDirVersionError
from magi.embedded.files import sync_directory, write_atomically

FORMAT: Final = 2
"""The layout that this program writes. Raised when an older program would misread it."""

_TAKEN_OVER = (1,)
"""Older layouts that become the present one. 1: the streams lay in the server's global account (`nats.py`)."""

_FOLDERS = ("keys", "nats", "postgres", "run", "logs")

_MAY_BE_THERE = {"lock", "version", ".gitignore", "lost+found"}
"""In a directory that MAGI has not made its own yet: what an interrupted first start or a fresh volume leaves."""

_ADVICE = {
    errno.EACCES: "this user may not write there; choose another directory (--data) or give it to this user (chown -R)",
    errno.EPERM: "this user may not write there; choose another directory (--data) or give it to this user (chown -R)",
    errno.EROFS: "the file system is read-only; choose another directory (--data)",
    errno.ENOSPC: "the disk is full; make room or choose another directory (--data)",
    errno.EDQUOT: "this user's quota is used up; make room or choose another directory (--data)",
    errno.ENOTDIR: "it is, or lies below, a file; choose another directory (--data)",
    errno.EEXIST: "it is a file; choose another directory (--data)",
    errno.ENAMETOOLONG: "the path is too long; choose a shorter one (--data)",
    errno.ENOLCK: "its file system knows no locks; choose a local one (--data)",
    errno.EOPNOTSUPP: "its file system knows no locks; choose a local one (--data)",
}


class _Version(msgspec.Struct, frozen=True):
    format: int
    magi: str


class Holder(msgspec.Struct, frozen=True):
    """Who has a data directory open."""

    pid: int
    """As the holder sees itself: in another container it means another process."""
    host: str


class DataDir:
    """An open data directory: it is this process's alone until `close()`. Made by `DataDir.open`."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        """Absolute, without symbolic links."""
        self._lock = lock

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open the directory, creating it (0700, parents too) when there is none or it is empty.

        Raises DataDirLocked, DataDirVersionError, or DataDirError for anything else that makes it unusable. A lock
        that a killed process left behind is none: the kernel releases it with the process.
        """
        path = Path(path).absolute()
        try:
            if not str(path).isprintable():
                raise DataDirError(path, "its name has control characters; choose another directory (--data)")
            path = path.resolve()
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not (path / "version").exists():
                _refuse_foreign(path)
            lock = _take_lock(path)
            try:
                _check_or_write_version(path)
            except BaseException:
                os.close(lock)
                raise
        except (OSError, ValueError, RuntimeError) as error:  # ValueError: NUL; RuntimeError: links in a circle
            raise _explained(path, error) from error
        return cls(path, lock)

    def close(self) -> None:
        """Let another process open it. Does nothing the second time."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def keys(self) -> Path:
        return self.path / "keys"

    @property
    def nats(self) -> Path:
        return self.path / "nats"

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    @property
    def run(self) -> Path:
        return self.path / "run"

    @property
    def logs(self) -> Path:
        return self.path / "logs"


def holder(path: str | Path) -> Holder | None:
    """Who has this data directory open at the moment; None when nobody has, or there is none.

    Raises OSError when this user may not look.
    """
    file = Path(path) / "lock"
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_holder(file)
    finally:
        os.close(descriptor)  # and with it the lock, if it was to be had
    return None


def _take_lock(path: Path) -> int:
    """A descriptor that holds the directory's lock, which now names this process. Raises DataDirLocked, OSError.

    flock and not lockf: the latter is lost as soon as any descriptor of the file is closed in this process. Python
    opens it close-on-exec: no child keeps it when this process is killed.
    """
    file = path / "lock"
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        for patience in (0.02, 0.05, 0.1, None):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if patience is None:
                    found = _read_holder(file)
                    elsewhere = found is not None and found.host != socket.gethostname()
                    raise DataDirLocked(
                        path, found.pid if found else None, found.host if found and elsewhere else None
                    ) from None
                time.sleep(patience)  # `holder()` of another process takes it for microseconds
        content = msgspec.json.encode(Holder(pid=os.getpid(), host=socket.gethostname())) + b"\n"
        os.pwrite(descriptor, content, 0)
        os.ftruncate(descriptor, len(content))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _read_holder(file: Path) -> Holder | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Holder)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _refuse_foreign(path: Path) -> None:
    """Never make someone's home or project a data directory because of a slip in --data."""
    found = sorted(entry.name for entry in path.iterdir() if entry.name not in {*_MAY_BE_THERE, *_FOLDERS})
    strange = [name for name in found if not name.endswith(".toml")]
    if strange:
        raise DataDirError(
            path,
            f"holds other things ({', '.join(strange[:3])}{' …' if len(strange) > 3 else ''}) and no MAGI data; "
            "choose an empty or a new directory (--data)",
        )


def _check_or_write_version(path: Path) -> None:
    file = path / "version"
    reads = f"format {FORMAT} (MAGI {_program_version()})"
    if not file.exists():
        for folder in _FOLDERS:
            (path / folder).mkdir(mode=0o700, exist_ok=True)
        write_atomically(path / ".gitignore", b"# Keys and data: not for a repository.\n*\n")
        write_atomically(file, msgspec.json.encode(_Version(format=FORMAT, magi=_program_version())) + b"\n")
        sync_directory(path.parent)
        return
    content = file.read_bytes()
    try:
        found = msgspec.json.decode(content, type=_Version)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise DataDirVersionError(
            path,
            f"a version file that says {content[:60]!r}",
            reads,
            "restore that file from a backup, or choose another directory (--data)",
        ) from None
    if found.format not in (FORMAT, *_TAKEN_OVER):
        raise DataDirVersionError(
            path,
            f"format {found.format} (written by MAGI {found.magi})",
            reads,
            f"run MAGI {found.magi} on it, or choose another directory (--data)",
        )
    _refuse_somebody_elses(path, file.stat().st_uid)
    if not (path / "nats").is_dir():
        raise DataDirError(
            path,
            "nats/ is missing, and with it the log; restore it from a backup, or remove the whole data directory "
            "to begin anew",
        )
    if found.format != FORMAT:  # before anything else changes: what is half of the new format, only we can read
        write_atomically(file, msgspec.json.encode(_Version(format=FORMAT, magi=_program_version())) + b"\n")
    for folder in _FOLDERS:  # the others can be made again, so that someone may have removed them
        (path / folder).mkdir(mode=0o700, exist_ok=True)


def _refuse_somebody_elses(path: Path, owner: int) -> None:
    """Also root's: after one start as root the owner's next nats-server could not read some of the log's files, and
    would go on without them."""
    if owner == os.geteuid():
        return
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = f"with the id {owner}"
    raise DataDirError(
        path,
        f"belongs to the user {name}; run MAGI as that user, give it to this one (chown -R), or choose another "
        "directory (--data)",
    )


def _program_version() -> str:
    try:
        return metadata.version("magi")
    except metadata.PackageNotFoundError:
        return "unknown"


def _explained(path: Path, error: OSError | ValueError | RuntimeError) -> DataDirError:
    if not isinstance(error, OSError):
        return DataDirError(path, f"{error}; choose another directory (--data)")
    said = error.strerror or str(error)
    at = f" ({error.filename})" if error.filename and Path(error.filename) != path else ""
    advice = _ADVICE.get(error.errno or 0)
    return DataDirError(path, f"{said}{at}" + (f": {advice}" if advice else ""))
