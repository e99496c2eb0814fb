"""`magi initiators`: who may submit. A token is printed once, as the last word on stdout; only its hash is kept."""

from typing import Annotated

import typer

from magi.cli.administration import changing_directory
from magi.cli.context import Context, run_async
from magi.cli.directory import directory_of, operator, read_directory
from magi.cli.directory_report import InitiatorRow, initiator_rows, show_initiators, to_json
from magi.cli.initiator_report import InitiatorCard, initiator_card, show_initiator
from magi.cli.local import add_token
from magi.cli.options import Data, Json
from magi.cli.output import show
from magi.cli.terminal import reporting, write, write_json
from magi.cli.token_options import Expires, Overlap, expiry, span
from magi.cli.token_uses import token_uses
from magi.domain import initiator as initiators
from magi.domain.directory import Directory
from magi.domain.errors import Conflict
from magi.domain.ids import InitiatorId, check_name, initiator_aggregate
from magi.domain.initiator import AS_DEFAULT, NO_QUOTA, InitiatorCommand
from magi.domain.tokens import INITIATE, check_initiator_scopes, token_hash, token_id
from magi.eventstore.directory import change_initiator
from magi.eventstore.presence import now_ms

app = typer.Typer(name="initiators", help="Who may submit, and their tokens.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The Initiator: a-z, 0-9, _ and -.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept with the event.")]
Description = Annotated[str, typer.Option(help="Who or what it is.")]
Scope = Annotated[
    list[str] | None, typer.Option(help="What the token is good for: initiate (the default) or read. May be repeated.")
]
Quota = Annotated[
    str | None, typer.Option(help="A number, `none`, or `default`: as the gateways' settings say.", metavar="QUOTA")
]


@app.command()
def add(
    name: Name, description: Description = "", scope: Scope = None, expires: Expires = "", data: Data = None
) -> None:
    """Register an Initiator and print its token: the last word on stdout, shown this once."""
    command = _issuing(name, scope, expires)

    async def run(ctx: Context) -> str:
        async with changing_directory(ctx) as store:
            await change_initiator(store, initiators.Register(name, description, operator(), now_ms()))
            return await add_token(store, command)

    token = run_async(run(Context.load(data)))
    show(f"Initiator {name} may {_can(command.scopes)} from now on.")
    _show_token(token)


@app.command()
def issue(name: Name, scope: Scope = None, expires: Expires = "", data: Data = None) -> None:
    """Print a further token of an Initiator. `rotate` does the same, and lets the others expire."""
    command = _issuing(name, scope, expires)
    token = run_async(_issue(Context.load(data), command))
    show(f"Initiator {name} has a further token, to {_can(command.scopes)}.")
    _show_token(token)


@app.command()
def rotate(
    name: Name,
    overlap: Overlap = "1h",
    scope: Scope = None,
    expires: Expires = "",
    reason: Reason = "",
    data: Data = None,
) -> None:
    """Print a new token of an Initiator, and let all others with the same scopes expire after the overlap."""
    now, scopes = now_ms(), check_initiator_scopes(scope or [INITIATE])
    until = now + span(overlap)
    command = initiators.RotateTokens(name, "", until, reason, operator(), now, scopes, expiry(expires))
    token = run_async(_issue(Context.load(data), command))
    show(f"Initiator {name} has a new token, to {_can(scopes)}; the others expire in {overlap}, if not before.")
    _show_token(token)


def _issuing(name: str, scope: list[str] | None, expires: str) -> initiators.IssueToken:
    """Checked before anything is stored. Raises InvalidMessage, BadParameter."""
    scopes = check_initiator_scopes(scope or [INITIATE])
    return initiators.IssueToken(name, "", operator(), now_ms(), scopes, expiry(expires))


async def _issue(ctx: Context, command: initiators.IssueToken | initiators.RotateTokens) -> str:
    async with changing_directory(ctx) as store:
        return await add_token(store, command)


def _can(scopes: tuple[str, ...]) -> str:
    return "submit" if INITIATE in scopes else "read"


def _show_token(token: str) -> None:
    show(f"The token {token_id(token_hash(token))}, which nobody can show again (MAGI_TOKEN for `magi submit`):")
    show(token)


@app.command()
def change(
    name: Name,
    description: Annotated[str | None, typer.Option(help="Who or what it is.")] = None,
    requests_per_second: Quota = None,
    open_requests: Quota = None,
    connections: Quota = None,
    reason: Reason = "",
    data: Data = None,
) -> None:
    """Change an Initiator's description, and what it may use of all gateways together. What isn't named stays."""
    rate = _quota("--requests-per-second", requests_per_second)
    requests, most = _whole("--open-requests", open_requests), _whole("--connections", connections)
    if description is None and rate is None and requests is None and most is None:
        raise typer.BadParameter("expected something to change, such as --requests-per-second")
    command = initiators.Change(name, operator(), now_ms(), reason, description, rate, requests, most)
    changed = run_async(_change(Context.load(data), command))
    show(f"Initiator {name} is changed." if changed else f"Initiator {name} is as it was: there is nothing to change.")


def _quota(option: str, text: str | None) -> float | None:
    """Raises BadParameter."""
    if text is None:
        return None
    if text in ("none", "default"):
        return NO_QUOTA if text == "none" else AS_DEFAULT
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise typer.BadParameter(f"{option}: expected a number above 0, none or default, got {text[:80]!r}")
    return value


def _whole(option: str, text: str | None) -> int | None:
    """Raises BadParameter."""
    value = _quota(option, text)
    if value is not None and value != int(value):
        raise typer.BadParameter(f"{option}: expected a whole number, got {text!r}")
    return None if value is None else int(value)


@app.command("list")
def list_(json: Json = False, data: Data = None) -> None:
    """List the Initiators, with the ids of their tokens, and when one was used last."""

    async def run(ctx: Context) -> list[InitiatorRow]:
        async with ctx.bus("operator") as bus:
            directory = await read_directory(await directory_of(bus))
            tokens = [token for found in directory.initiators.values() for token in found.tokens]
            return initiator_rows(directory, await token_uses(bus, tokens), now_ms())

    rows = run_async(run(Context.load(data)))
    show(to_json(rows) if json else show_initiators(rows))


@app.command("show")
def show_(name: Name, json: Json = False, data: Data = None) -> None:
    """Show all that is known of an Initiator: its quotas, its tokens with their last use, and its history."""
    initiator = InitiatorId(check_name(name, "initiator"))

    async def run(ctx: Context) -> InitiatorCard:
        async with ctx.bus("operator") as bus:
            store = await directory_of(bus)
            events = [recorded.event for recorded in await store.load(initiator_aggregate(initiator))]
            if not events:
                raise Conflict(f"no initiator named {initiator!r} is registered")
            directory = Directory()
            for event in events:
                directory.apply(event)
            found = directory.initiators[initiator]
            return initiator_card(found, events, await token_uses(bus, found.tokens), now_ms())

    card = run_async(run(Context.load(data)))
    with reporting():
        if json:
            write_json(to_json(card))
            return
        for number, paragraph in enumerate(show_initiator(card)):
            write(*([""] if number else []), paragraph)


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
    changed = run_async(_change(Context.load(data), command))
    what = f"Initiator {name}" if token is None else f"The token {token} of Initiator {name}"
    show(f"{what} is revoked." if changed else f"{what} was revoked already.")


async def _change(ctx: Context, command: InitiatorCommand) -> bool:
    async with changing_directory(ctx) as store:
        return bool(await change_initiator(store, command))
