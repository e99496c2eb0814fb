"""`magi serve` and the directory: registers what belongs to this machine, and keeps nats-server's users in step."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

import structlog

from magi.cli.context import Context
from magi.cli.leaving import LEAVE, at_most
from magi.cli.local import ensure_local_initiator, nats_users, register_builtin
from magi.domain.directory import DirectoryEvent
from magi.domain.template import Define
from magi.domain.voter import VoterKeyChanged, VoterRegistered, VoterRevoked
from magi.embedded import EmbeddedServers, NatsUser
from magi.embedded.errors import EmbeddedError, UsersUnknown
from magi.eventstore.bus import Bus
from magi.eventstore.directory import DirectoryView, change_template, directory_log
from magi.eventstore.history import Recorded

log = structlog.get_logger(__name__)

USERS_AGAIN = 1.0
"""Seconds until the voters' rights are set again when nats-server didn't say whether it took them."""


async def keep_directory(
    stack: AsyncExitStack, ctx: Context, bus: Bus, servers: EmbeddedServers | None, panels: Sequence[Define]
) -> None:
    """Register what belongs to this machine, and keep the embedded server's users in step with the directory."""
    store = directory_log(bus)
    await store.start()
    changed = asyncio.Event()

    async def on_change(event: DirectoryEvent) -> None:
        if isinstance(event, VoterRegistered | VoterKeyChanged | VoterRevoked):
            changed.set()

    view = _SilentView(bus, on_change)
    await view.start()
    stack.push_async_callback(at_most, LEAVE, view.stop)
    await register_builtin(store, ctx.settings.voters.builtin, ctx.settings.orchestrator.default_group)
    for panel in panels:
        await change_template(store, panel)
    await ensure_local_initiator(store, view, ctx.data)
    if servers is None:
        return

    async def follow() -> None:
        in_force: list[NatsUser] | None = None
        while True:
            await changed.wait()
            changed.clear()
            users = nats_users(view.directory)
            if users == in_force:
                continue  # nats-server cuts off whoever is about to connect while it reads them anew
            try:
                await servers.nats.set_users(users)
                in_force = users
            except UsersUnknown as error:
                log.warning("nats_users_not_set_yet", error=str(error))
                await asyncio.sleep(USERS_AGAIN)
                changed.set()
            except EmbeddedError as error:
                log.error("nats_users_not_set", error=str(error))

    changed.set()
    task = asyncio.create_task(follow())
    stack.callback(task.cancel)


class _SilentView(DirectoryView):
    """Each part tells of changes in its own log; ours is a person's terminal."""

    def tell(self, recorded: Recorded[DirectoryEvent]) -> None:
        """Nothing."""
