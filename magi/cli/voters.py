"""`magi voters`: who judges. A voter on the bus gets a key, whose seed is printed once as the last word on stdout."""

import sys
from typing import Annotated, get_args

import typer

from magi.cli.context import Context, run_async
from magi.cli.directory import directory_of, open_directory, operator, read_directory
from magi.cli.directory_report import VoterRow, show_voters, to_json, voter_rows
from magi.cli.options import Data, Json
from magi.cli.output import show
from magi.cli.task_queues import task_queues
from magi.cli.voter_access import NotLetIn, is_embedded, nats_user, wait_until_let_in
from magi.domain import voter_commands as voters
from magi.domain.ids import VoterId, check_name
from magi.domain.voter import VoterKind
from magi.domain.voter_commands import VoterCommand
from magi.embedded import nkey
from magi.eventstore import subjects
from magi.eventstore.bus import BusError
from magi.eventstore.consumers import ensure_task_consumer
from magi.eventstore.direct import DirectReader
from magi.eventstore.directory import change_voter
from magi.eventstore.presence import alive, now_ms
from magi.voters.builtin import BUILTIN

app = typer.Typer(name="voters", help="Who judges.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="The voter: a-z, 0-9, _ and -.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept with the event.")]
KINDS: tuple[VoterKind, ...] = get_args(VoterKind)


def _kind(text: str) -> VoterKind:
    """Raises BadParameter."""
    for kind in KINDS:
        if kind == text:
            return kind
    raise typer.BadParameter(f"expected one of {', '.join(KINDS)}, got {text!r}")


@app.command()
def add(
    voter: Id,
    kind: Annotated[
        str, typer.Option(help="nats: a program of yours, on the bus with a key of its own. builtin: it runs in MAGI.")
    ],
    description: Annotated[str, typer.Option(help="What it judges, for whoever chooses a panel.")] = "",
    group: Annotated[
        str | None, typer.Option(help="The group it belongs to.", show_default="that of panels nobody named")
    ] = None,
    data: Data = None,
) -> None:
    """Register a voter. For the kind nats its seed is the last word on stdout, shown this once."""
    ctx = Context.load(data)
    name = VoterId(check_name(voter, "voter"))
    if _kind(kind) == "builtin":
        known = BUILTIN.get(name)
        run_async(_register(ctx, name, "builtin", description or (known.description if known else ""), group, ""))
        target = name if known else f"{name}=MODULE:FUNCTION"
        show(f"Voter {name} is registered. Run it with `magi voter {target}`, as often as you like.")
        return
    public, seed = nkey.generate()
    run_async(_register(ctx, name, "nats", description, group, public))
    show(f"Voter {name} is registered.")
    if is_embedded(ctx):
        try:
            run_async(wait_until_let_in(ctx.settings.nats.url, name, seed))
            show("nats-server lets it in.")
        except NotLetIn as error:
            sys.stderr.write(f"magi: {error}\n")
    else:
        show("Give its key these rights in the authorization of your nats-server:")
        show(nats_user(name, public))
    show(f"  NATS       {ctx.settings.nats.url} (MAGI_NATS_URL)")
    show(f"  its tasks  consumer {subjects.task_consumer(name)} of the stream {subjects.TASKS}")
    show(f'  in Python  magi.voters.run("{name}", judge)')
    show("Its seed (MAGI_VOTER_SEED), which nobody can show again:")
    show(seed)


async def _register(
    ctx: Context, name: VoterId, kind: VoterKind, description: str, group: str | None, public_key: str
) -> None:
    async with open_directory(ctx) as store:
        group = check_name(ctx.settings.orchestrator.default_group if group is None else group, "group")
        command = voters.Register(name, kind, description, group, public_key, operator(), now_ms())
        await change_voter(store, command)
        try:
            await ensure_task_consumer(store.bus, name)
        except BusError as error:
            # The voter is registered, and its seed must not be lost for this: the orchestrators make it as well.
            sys.stderr.write(f"magi: its task consumer is not there yet: {error}\n")


@app.command("list")
def list_(json: Json = False, data: Data = None) -> None:
    """List the voters: what they are, how many instances run, how many tasks wait for them."""

    async def run(ctx: Context) -> list[VoterRow]:
        async with ctx.bus() as bus:
            directory = await read_directory(await directory_of(bus))
            presence = DirectReader(bus, subjects.PRESENCE)
            await presence.start()
            queues = await task_queues(bus, directory.voters)
            return voter_rows(directory, await alive(presence, "voter.*"), queues)

    rows = run_async(run(Context.load(data)))
    show(to_json(rows) if json else show_voters(rows))


@app.command()
def suspend(voter: Id, reason: Reason = "", data: Data = None) -> None:
    """Ask a voter for no more votes until it is reinstated. Those that it was asked for still count."""
    _change(data, voters.Suspend(voter, reason, operator(), now_ms()), "suspended")


@app.command()
def reinstate(voter: Id, reason: Reason = "", data: Data = None) -> None:
    """Ask a suspended voter for votes again."""
    _change(data, voters.Reinstate(voter, reason, operator(), now_ms()), "active")


@app.command()
def revoke(voter: Id, reason: Reason = "", data: Data = None) -> None:
    """Revoke a voter for ever: its key is worth nothing any more, and its name is never given to another."""
    _change(data, voters.Revoke(voter, reason, operator(), now_ms()), "revoked")


def _change(data: Data, command: VoterCommand, status: str) -> None:
    async def run(ctx: Context) -> bool:
        async with open_directory(ctx) as store:
            return bool(await change_voter(store, command))

    changed = run_async(run(Context.load(data)))
    show(f"Voter {command.voter_id} is {status}{'' if changed else ' already'}.")
