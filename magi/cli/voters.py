"""`magi voters`: who judges."""

import typer

from magi.cli.administration import changing_directory
from magi.cli.context import Context, run_async
from magi.cli.directory import directory_of, operator, read_directory
from magi.cli.directory_report import VoterRow, show_voters, to_json, voter_rows
from magi.cli.options import Data, Json
from magi.cli.output import show
from magi.cli.task_queues import task_queues
from magi.cli.terminal import reporting, write, write_json
from magi.cli.token_uses import token_uses
from magi.cli.voter_credentials import revoke_token, rotate_key, rotate_token, token
from magi.cli.voter_registration import Id, Reason, add, change
from magi.cli.voter_report import VoterCard, show_card, voter_card
from magi.domain import voter_commands as voters
from magi.domain.directory import Directory
from magi.domain.errors import UnknownVoter
from magi.domain.ids import VoterId, check_name, voter_aggregate
from magi.domain.voter_commands import VoterCommand
from magi.eventstore import subjects
from magi.eventstore.direct import DirectReader
from magi.eventstore.directory import change_voter
from magi.eventstore.presence import alive, now_ms

app = typer.Typer(name="voters", help="Who judges.", no_args_is_help=True)
app.command("add")(add)
app.command("change")(change)
app.command("rotate-key")(rotate_key)
app.command("token")(token)
app.command("rotate-token")(rotate_token)
app.command("revoke-token")(revoke_token)


@app.command("list")
def list_(json: Json = False, data: Data = None) -> None:
    """List the voters: what they are, how many instances run, what they have in hand, and how they do lately."""

    async def run(ctx: Context) -> list[VoterRow]:
        async with ctx.bus("operator") as bus:
            directory = await read_directory(await directory_of(bus))
            presence = DirectReader(bus, subjects.PRESENCE)
            await presence.start()
            queues = await task_queues(bus, directory.voters)
            return voter_rows(directory, await alive(presence, "voter.*"), queues)

    rows = run_async(run(Context.load(data)))
    show(to_json(rows) if json else show_voters(rows))


@app.command("show")
def show_(voter: Id, json: Json = False, data: Data = None) -> None:
    """Show all that is known of a voter: how it is registered, its health, its instances, and its history."""
    name = VoterId(check_name(voter, "voter"))

    async def run(ctx: Context) -> VoterCard:
        async with ctx.bus("operator") as bus:
            events = [recorded.event for recorded in await (await directory_of(bus)).load(voter_aggregate(name))]
            if not events:
                raise UnknownVoter(f"no voter named {name!r} is registered")
            directory = Directory()
            for event in events:
                directory.apply(event)
            presence = DirectReader(bus, subjects.PRESENCE)
            await presence.start()
            found = directory.voters[name]
            uses = await token_uses(bus, found.tokens)
            return voter_card(found, await alive(presence, f"voter.{name}"), events, uses, now_ms())

    card = run_async(run(Context.load(data)))
    with reporting():
        if json:
            write_json(to_json(card))
            return
        for number, paragraph in enumerate(show_card(card)):
            write(*([""] if number else []), paragraph)


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
        async with changing_directory(ctx) as store:
            return bool(await change_voter(store, command))

    changed = run_async(run(Context.load(data)))
    show(f"Voter {command.voter_id} is {status}{'' if changed else ' already'}.")
