"""Who may use the embedded nats-server, and for what: data, and its form in `users.conf`."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

import msgspec
import structlog

from magi.embedded.nkey import check_public_key

_log = structlog.get_logger(__name__)

_SUBJECT = re.compile(r"[!#-\[\]-~]+\Z")
"""Printable ASCII without blanks, quotes and backslashes: needs no escaping in the configuration."""


Account = Literal["core", "edge"]
_NAMES: Final[dict[Account, str]] = {"core": "MAGI", "edge": "MAGI_EDGE"}

STREAMS_ACCOUNT: Final = _NAMES["core"]
"""The account that holds the streams: also the name of their folder."""


class NatsUser(msgspec.Struct, frozen=True):
    """Somebody's rights on the server. Subjects may hold wildcards; () is nothing at all."""

    public_key: str
    """The user's public nkey, `U…`."""
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    account: Account = "core"
    """`core` holds the streams; `edge` reaches it by what a NatsEdge names only."""


class NatsService(msgspec.Struct, frozen=True):
    """Subjects on which somebody in the core answers the edge."""

    subject: str
    streamed: bool = False
    """One question has many answers."""


class NatsEdge(msgspec.Struct, frozen=True):
    """What the edge has of the core. Answers to its questions never leave the edge, whatever reply they name."""

    services: tuple[NatsService, ...] = ()
    feeds: tuple[str, ...] = ()
    """Subjects of the core that the edge may subscribe to."""


NO_EDGE: Final = NatsEdge()


class _Rights(msgspec.Struct, frozen=True, omit_defaults=True):
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


class _Permissions(msgspec.Struct, frozen=True):
    publish: _Rights
    subscribe: _Rights


class _Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    nkey: str
    permissions: _Permissions | None = None


class _Export(msgspec.Struct, frozen=True, omit_defaults=True):
    accounts: tuple[str, ...]
    service: str = ""
    stream: str = ""
    response_type: str = ""


class _From(msgspec.Struct, frozen=True):
    account: str
    subject: str


class _Import(msgspec.Struct, frozen=True, omit_defaults=True):
    service: _From | None = None
    stream: _From | None = None


class _Account(msgspec.Struct, frozen=True, omit_defaults=True):
    users: tuple[_Entry, ...]
    jetstream: str = ""
    exports: tuple[_Export, ...] = ()
    imports: tuple[_Import, ...] = ()


def render(component: str, users: Iterable[NatsUser], edge: NatsEdge = NO_EDGE) -> bytes:
    """The content of `users.conf`: `component` (a public nkey; "": none) with all rights, and the users with theirs.

    Raises ValueError for a key or a subject that can't be one, and for a key that comes twice.
    """
    entries: dict[Account, list[_Entry]] = {"core": [], "edge": []}
    if component:
        entries["core"].append(_Entry(nkey=check_public_key(component)))
    for user in users:
        entry = _Entry(nkey=check_public_key(user.public_key), permissions=_permissions(user))
        entries[user.account].append(entry)
    keys = [entry.nkey for account in entries.values() for entry in account]
    if len(set(keys)) != len(keys):
        raise ValueError("a public nkey comes twice: " + next(key for key in keys if keys.count(key) > 1))
    core, outer = _NAMES["core"], _NAMES["edge"]
    exports = [
        _Export((outer,), service=_checked(s.subject), response_type="stream" if s.streamed else "")
        for s in edge.services
    ]
    exports += [_Export((outer,), stream=_checked(subject)) for subject in edge.feeds]
    imports = [_Import(service=_From(core, service.subject)) for service in edge.services]
    imports += [_Import(stream=_From(core, subject)) for subject in edge.feeds]
    accounts = {
        core: _Account(tuple(entries["core"]), "enabled", exports=tuple(exports)),
        outer: _Account(tuple(entries["edge"]), imports=tuple(imports)),
    }
    # JSON is a subset of the server's configuration language, as far as strings without escapes go.
    text = msgspec.json.format(msgspec.json.encode(accounts), indent=2)
    return b"# Written by MAGI; changes are lost.\naccounts: " + text + b"\n"


def parse(content: bytes) -> tuple[NatsUser, ...]:
    """The users in a file that `render` wrote, without the component. Raises ValueError for anything else."""
    _, found, text = content.partition(b"\naccounts: ")
    if not found:
        raise ValueError("no accounts in it")
    accounts = msgspec.json.decode(text, type=dict[str, _Account])
    return tuple(
        NatsUser(entry.nkey, entry.permissions.publish.allow, entry.permissions.subscribe.allow, account)
        for account, name in _NAMES.items()
        for entry in (accounts[name].users if name in accounts else ())
        if entry.permissions
    )


def kept(file: Path) -> tuple[NatsUser, ...]:
    """The users in a file that `render` wrote; none when there is no such file or it can't be read."""
    try:
        return parse(file.read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        _log.warning("nats_users_lost", error=str(error))
        return ()


def _permissions(user: NatsUser) -> _Permissions:
    return _Permissions(publish=_rights(user.publish), subscribe=_rights(user.subscribe))


def _checked(subject: str) -> str:
    if not _SUBJECT.match(subject):
        raise ValueError(f"not a subject: {subject[:80]!r}")
    return subject


def _rights(subjects: tuple[str, ...]) -> _Rights:
    for subject in subjects:
        _checked(subject)
    # An empty `allow` means "everything" to nats-server (2.15.1: it let such a user publish anywhere).
    return _Rights(allow=subjects) if subjects else _Rights(deny=(">",))
