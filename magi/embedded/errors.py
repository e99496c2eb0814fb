"""What can go wrong with the data directory and the servers in it. Each message is for the person who runs MAGI."""

from pathlib import Path


class EmbeddedError(Exception):
    """Base of all errors of this package."""


class DataDirError(EmbeddedError):
    """The data directory can't be used. The message names it and says why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"data directory {path}: {reason}")
        self.path = path


class DataDirLocked(DataDirError):
    """Another process has this data directory open."""

    def __init__(self, path: Path, pid: int | None, host: str | None) -> None:
        who = "another MAGI" if pid is None else f"the MAGI with process id {pid}"
        where = f" (on {host})" if host else ""
        super().__init__(path, f"in use by {who}{where}; stop that one, or choose another directory (--data)")
        self.pid = pid
        """The holder's process id, as it sees itself; None when it could not be read."""
        self.host = host
        """The holder's host name when it is not this one (a container, a shared file system); else None."""


class DataDirVersionError(DataDirError):
    """The directory is in a format that this program doesn't read."""

    def __init__(self, path: Path, found: str, reads: str, advice: str) -> None:
        super().__init__(path, f"found {found}; this program reads {reads}; {advice}")
        self.found = found
        self.reads = reads


class ServerMissing(EmbeddedError):
    """The server's program is not installed, or the file that it needs is not there."""


class ServerStartError(EmbeddedError):
    """A server did not become ready. Carries the last lines of its log."""

    def __init__(self, server: str, reason: str, log_tail: str) -> None:
        last = "\n".join(f"  | {line}" for line in log_tail.splitlines())
        super().__init__(f"{server} did not start: {reason}" + (f"\n{last}" if last else ""))
        self.server = server
        self.reason = reason
        self.log_tail = log_tail


class PostgresVersionError(EmbeddedError):
    """The cluster in the data directory belongs to another major version than the installed PostgreSQL."""


class ServerFailed(EmbeddedError):
    """A server ended again and again soon after its start and was given up."""

    def __init__(self, server: str, failures: int, last: str) -> None:
        super().__init__(f"{server} was given up after {failures} failures in a row; the last one: {last}")
        self.server = server
        self.failures = failures


class UsersRefused(EmbeddedError):
    """nats-server refused a list of users. The list before it is in force."""


class UsersUnknown(EmbeddedError):
    """nats-server did not answer in time: whether the new users or those before them are in force is not known."""
