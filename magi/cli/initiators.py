"""`magi initiators`: who may submit. A token is printed once, as the last word on stdout; only its hash is kept."""

from typing import Annotated

import typer

from magi.cli.context import Context, run_async
from magi.cli.directory import open_directory, operator, read_directory
from magi.cli.directory_report import InitiatorRow, initiator_rows, show_initiators, to_json
from magi.cli.local import issue_token
from magi.cli.options import Data, Json
from magi.cli.output import show
from magi.domain import initiator as initiators
from magi.domain.initiator import InitiatorCommand
from magi.domain.tokens import token_hash, token_id
from magi.eventstore.directory import change_initiator
from magi.eventstore.presence import now_ms

app = typer.Typer(name="initiators", help="Who may submit, and their tokens.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The Initiator: a-z, 0-9, _ and -.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept with the event.")]


@app.command()
def add(
    name: Name, description: Annotated[str, typer.Option(help="Who or what it is.")] = "", data: Data = None
) -> None:
    """Register an Initiator and print its token: the last word on stdout, shown this once."""

    async def run(ctx: Context) -> str:
        async with open_directory(ctx) as store:
            await change_initiator(store, initiators.Register(name, description, operator(), now_ms()))
            return await issue_token(store, name, operator())

    token = run_async(run(Context.load(data)))
    show(f"Initiator {name} may submit from now on.")
    _show_token(token)


@app.command()
def issue(name: Name, data: Data = None) -> None:
    """Print a further token of an Initiator: the way to change tokens is to issue, deploy, and revoke the old one."""

    async def run(ctx: Context) -> str:
        async with open_directory(ctx) as store:
            return await issue_token(store, name, operator())

    token = run_async(run(Context.load(data)))
    show(f"Initiator {name} has a further token.")
    _show_token(token)


def _show_token(token: str) -> None:
    show(f"The token {token_id(token_hash(token))}, which nobody can show again (MAGI_TOKEN for `magi submit`):")
    show(token)


@app.command("list")
def list_(json: Json = False, data: Data = None) -> None:
    """List the Initiators, with the ids of their tokens."""

    async def run(ctx: Context) -> list[InitiatorRow]:
        async with open_directory(ctx) as store:
            return initiator_rows(await read_directory(store))

    rows = run_async(run(Context.load(data)))
    show(to_json(rows) if json else show_initiators(rows))


@app.command()
def revoke(
    name: Name,
    token: Annotated[str | None, typer.Option(help="Only this token, by its id (`magi initiators list`).")] = None,
    reason: Reason = "",
    data: Data = None,
) -> None:
    """Revoke an Initiator for ever, or one of its tokens. Its open connections are closed; what it submitted stays."""
    command: InitiatorCommand = (
        initiators.Revoke(name, reason, operator(), now_ms())
        if token is None
        else initiators.RevokeToken(name, token, reason, operator(), now_ms())
    )

    async def run(ctx: Context) -> bool:
        async with open_directory(ctx) as store:
            return bool(await change_initiator(store, command))

    changed = run_async(run(Context.load(data)))
    what = f"Initiator {name}" if token is None else f"The token {token} of Initiator {name}"
    show(f"{what} is revoked." if changed else f"{what} was revoked already.")
