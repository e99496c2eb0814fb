"""What `magi serve` and `magi demo` set up in the directory: the built-in voters, and an Initiator for this machine."""

import os
from collections.abc import Iterable
from pathlib import Path

import structlog

from magi.cli.local_token import LOCAL, token_file
from magi.domain import initiator as initiators
from magi.domain import voter_commands as voters
from magi.domain.directory import Directory
from magi.domain.errors import Conflict
from magi.domain.ids import InitiatorId, VoterId, voter_aggregate
from magi.domain.tokens import ENTROPY, is_token, new_token, token_hash
from magi.embedded.files import write_atomically
from magi.embedded.users import NatsUser
from magi.eventstore.consumers import ensure_task_consumer
from magi.eventstore.directory import DirectoryLog, DirectoryView, change_initiator, change_voter
from magi.eventstore.presence import now_ms
from magi.eventstore.rights import voter_rights
from magi.voters.builtin import BUILTIN

log = structlog.get_logger(__name__)

BY = "magi serve"


async def register_builtin(store: DirectoryLog, names: Iterable[str], group: str) -> None:
    """Register the built-in voters that aren't yet, in `group`. Raises StoreError."""
    for name in names:
        if not await store.load(voter_aggregate(VoterId(name))):
            command = voters.Register(name, "builtin", BUILTIN[name].description, group, "", BY, now_ms())
            try:
                await change_voter(store, command)
            except Conflict:
                continue  # another `magi serve` on the same NATS was faster
        await ensure_task_consumer(store.bus, VoterId(name))


async def issue_token(store: DirectoryLog, initiator: str, by: str) -> str:
    """A new token of an Initiator; nobody can read it again. Raises Conflict, StoreError."""
    return await add_token(store, initiators.IssueToken(initiator, "", by, now_ms()))


async def add_token(store: DirectoryLog, command: initiators.IssueToken | initiators.RotateTokens) -> str:
    """Carry out a command whose hash is that of a token made here, which is returned. Raises as `issue_token`, and
    InvalidMessage."""
    token = new_token("i", os.urandom(ENTROPY))
    await change_initiator(store, command._replace(sha256=token_hash(token)))
    return token


async def ensure_local_initiator(store: DirectoryLog, view: DirectoryView, data: Path) -> None:
    """See to it that the local Initiator exists and that its token in the data directory is valid.

    One that was revoked stays so: then nobody submits here without a token of another Initiator.
    """
    file = token_file(data)
    known = view.directory.initiators.get(InitiatorId(LOCAL))
    if known and known.status == "revoked":
        log.warning("local_initiator_revoked", initiator=LOCAL)
        file.unlink(missing_ok=True)
        return
    token = file.read_text().strip() if file.exists() else ""
    found = view.directory.authenticate(token_hash(token)) if is_token(token, "i") else None
    if found and view.directory.admits(found, now_ms()):
        return
    try:
        command = initiators.Register(LOCAL, "whoever may read the data directory", BY, now_ms())
        await change_initiator(store, command)
    except Conflict:
        pass  # registered in an earlier life
    write_atomically(file, (await issue_token(store, LOCAL, BY)).encode() + b"\n")


def nats_users(directory: Directory) -> list[NatsUser]:
    """The voters that may connect to NATS with keys of their own, with what they may do."""
    users = []
    for name, voter in directory.voters.items():
        if voter.public_key and voter.status != "revoked":
            rights = voter_rights(name)
            users.append(NatsUser(voter.public_key, rights.publish, rights.subscribe, rights.account))
    return users
