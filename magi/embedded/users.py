"""Who may use the embedded nats-server, and for what: data, and its form in `users.conf`."""

import re
from collections.abc import Iterable
from pathlib import Path

import msgspec
import structlog

from magi.embedded.nkey import check_public_key

_log = structlog.get_logger(__name__)

_SUBJECT = re.compile(r"[!#-\[\]-~]+\Z")
"""Printable ASCII without blanks, quotes and backslashes: needs no escaping in the configuration."""


class NatsUser(msgspec.Struct, frozen=True):
    """A voter's rights on the server. Subjects may hold wildcards; () is nothing at all."""

    public_key: str
    """The user's public nkey, `U…`."""
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


class _Rights(msgspec.Struct, frozen=True, omit_defaults=True):
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


class _Permissions(msgspec.Struct, frozen=True):
    publish: _Rights
    subscribe: _Rights


class _Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    nkey: str
    permissions: _Permissions | None = None


def render(component: str, users: Iterable[NatsUser]) -> bytes:
    """The content of `users.conf`: `component` (a public nkey) with all rights, and the users with theirs.

    Raises ValueError for a key or a subject that can't be one, and for a key that comes twice.
    """
    entries = [_Entry(nkey=check_public_key(component))]
    entries += [_Entry(nkey=check_public_key(user.public_key), permissions=_permissions(user)) for user in users]
    keys = [entry.nkey for entry in entries]
    if len(set(keys)) != len(keys):
        raise ValueError("a public nkey comes twice: " + next(key for key in keys if keys.count(key) > 1))
    # JSON is a subset of the server's configuration language, as far as strings without escapes go.
    lines = b",\n  ".join(msgspec.json.encode(entry) for entry in entries)
    return b"# Written by MAGI; changes are lost.\nusers: [\n  " + lines + b"\n]\n"


def parse(content: bytes) -> tuple[NatsUser, ...]:
    """The users in a file that `render` wrote, without the component. Raises ValueError for anything else."""
    _, found, entries = content.partition(b"\nusers: ")
    if not found:
        raise ValueError("no users in it")
    decoded = msgspec.json.decode(entries, type=list[_Entry])
    return tuple(
        NatsUser(entry.nkey, entry.permissions.publish.allow, entry.permissions.subscribe.allow)
        for entry in decoded
        if entry.permissions
    )


def kept(file: Path) -> tuple[NatsUser, ...]:
    """The users in a file that `render` wrote; none when there is no such file or it can't be read."""
    try:
        return parse(file.read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        _log.warning("users of the last run are lost; they are set again from the directory", error=str(error))
        return ()


def _permissions(user: NatsUser) -> _Permissions:
    return _Permissions(publish=_rights(user.publish), subscribe=_rights(user.subscribe))


def _rights(subjects: tuple[str, ...]) -> _Rights:
    for subject in subjects:
        if not _SUBJECT.match(subject):
            raise ValueError(f"not a subject: {subject[:80]!r}")
    # An empty `allow` means "everything" to nats-server (2.15.1: it let such a user publish anywhere).
    return _Rights(allow=subjects) if subjects else _Rights(deny=(">",))
