"""A new voter's way into NATS: the embedded server learns its key from `magi serve`, any other from its operator."""

import asyncio
import sys
import time

import msgspec

from magi.cli.context import Context, run_async
from magi.cli.output import show
from magi.domain.ids import VoterId
from magi.embedded import find_running
from magi.eventstore import subjects
from magi.eventstore.bus import Bus, CannotConnect
from magi.eventstore.rights import voter_rights

WITHIN = 5.0
"""Seconds. `magi serve` needs 0.1 to see the event and have nats-server read its users again."""
_LOOK_EVERY = 0.05


class NotLetIn(Exception):
    """nats-server doesn't know the voter's key, some seconds after it was registered."""


def is_embedded(ctx: Context) -> bool:
    """Whether the NATS in use is the one that `magi serve` runs, whose users follow the directory."""
    running = find_running(ctx.data)
    return running is not None and running.nats_url == ctx.settings.nats.url


def introduce(ctx: Context, voter: VoterId, public_key: str, seed: str) -> None:
    """Say how a voter on the bus gets in with a new key; its seed is the last word on stdout."""
    if is_embedded(ctx):
        try:
            run_async(wait_until_let_in(ctx.settings.nats.url, voter, seed))
            show("nats-server lets it in.")
        except NotLetIn as error:
            sys.stderr.write(f"magi: {error}\n")
    else:
        show("Give its key these rights in the authorization of your nats-server:")
        show(nats_user(voter, public_key))
    show(f"  NATS       {ctx.settings.nats.url} (MAGI_NATS_URL)")
    show(f"  its tasks  consumer {subjects.task_consumer(voter)} of the stream {subjects.TASKS}")
    show(f'  in Python  magi.voters.run("{voter}", judge)')
    show("Its seed (MAGI_VOTER_SEED), which nobody can show again:")
    show(seed)


def nats_user(voter: VoterId, public_key: str) -> str:
    """A voter's entry in the users of a nats-server configuration."""
    rights = voter_rights(voter)
    entry = {
        "nkey": public_key,
        "permissions": {"publish": {"allow": rights.publish}, "subscribe": {"allow": rights.subscribe}},
    }
    return msgspec.json.format(msgspec.json.encode(entry), indent=2).decode()


async def wait_until_let_in(url: str, voter: VoterId, seed: str, within: float = WITHIN) -> None:
    """Return once a connection with the voter's key succeeds. Raises NotLetIn."""
    deadline = time.monotonic() + within
    while True:
        try:
            bus = await Bus.connect(url, name=f"voter {voter}", seed=seed, inbox_prefix=f"_INBOX_{voter}")
        except CannotConnect as error:
            if time.monotonic() > deadline:
                raise NotLetIn(
                    f"nats-server doesn't let {voter} in after {within:g} s ({error}): is `magi serve` running well?"
                ) from error
            await asyncio.sleep(_LOOK_EVERY)
        else:
            await bus.close()
            return
