"""`magi panels`: panels that have a name, for requests to ask for."""

from typing import Annotated

import typer

from magi.cli.administration import changing_directory
from magi.cli.context import Context, run_async
from magi.cli.directory import open_directory, operator, read_directory
from magi.cli.directory_report import to_json
from magi.cli.options import Data, Json
from magi.cli.output import show
from magi.cli.panels_report import PanelCard, PanelRow, panel_card, panel_rows, show_panel, show_panels
from magi.cli.terminal import reporting, write, write_json
from magi.domain import template as templates
from magi.domain.errors import Conflict, InvalidMessage
from magi.domain.ids import check_name, panel_aggregate
from magi.domain.slots import NamedVoter, Slot, parse_members
from magi.eventstore.directory import change_template
from magi.eventstore.presence import now_ms

app = typer.Typer(name="panels", help="Panels by name: which voters judge together.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The panel: a-z, 0-9, _ and -.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept with the event.")]


def parse_panel(text: str) -> tuple[str, tuple[Slot, ...]]:
    """``code: melchior, balthasar, 1 of llm`` as a name and its members. Raises InvalidMessage."""
    name, colon, members = text.partition(":")
    if not colon:
        raise InvalidMessage(f"panel: expected NAME: MEMBER, MEMBER, … got {text[:80]!r}")
    return check_name(name.strip(), "panel"), parse_members(members)


def definition(name: str, slots: tuple[Slot, ...], description: str | None, reason: str, by: str) -> templates.Define:
    """The command that makes a panel of them. Without a description it keeps the one that it has."""
    return templates.Define(name, tuple(map(str, slots)), description, reason, by, now_ms())


@app.command("set")
def set_(
    panel: Annotated[str, typer.Argument(metavar="NAME", help="The panel; or all in one: 'NAME: MEMBER, MEMBER'.")],
    members: Annotated[
        str | None, typer.Argument(help="Voters, and numbers of groups: 'melchior, balthasar, 1 of llm'.")
    ] = None,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    reason: Reason = "",
    data: Data = None,
) -> None:
    """Define a panel, or define it anew. Requests that were received keep the panel that they got."""
    name, slots = parse_panel(panel if members is None else f"{check_name(panel, 'panel')}:{members}")
    command = definition(name, slots, description, reason, operator())

    async def run(ctx: Context) -> tuple[bool, list[str]]:
        async with changing_directory(ctx) as store:
            changed = bool(await change_template(store, command))
            known = (await read_directory(store)).voters
            named = [slot.voter for slot in slots if isinstance(slot, NamedVoter)]
            return changed, [voter for voter in named if voter not in known]

    changed, unknown = run_async(run(Context.load(data)))
    show(f"Panel {name} is {', '.join(map(str, slots))}{'' if changed else ', as it was'}.")
    if unknown:
        verb = "is" if len(unknown) == 1 else "are"
        show(f"{', '.join(unknown)} {verb} not registered yet: until then the seat stays empty.")


@app.command("list")
def list_(json: Json = False, data: Data = None) -> None:
    """List the panels."""

    async def run(ctx: Context) -> list[PanelRow]:
        async with open_directory(ctx) as store:
            return panel_rows(await read_directory(store), ctx.settings.orchestrator.default_panel)

    rows = run_async(run(Context.load(data)))
    show(to_json(rows) if json else show_panels(rows))


@app.command("show")
def show_(panel: Name, json: Json = False, data: Data = None) -> None:
    """Show a panel: its members, who would be on it now, and its history."""
    name = check_name(panel, "panel")

    async def run(ctx: Context) -> PanelCard:
        async with open_directory(ctx) as store:
            events = [recorded.event for recorded in await store.load(panel_aggregate(name))]
            if not events:
                raise Conflict(f"no panel is named {name!r}")
            return panel_card(name, await read_directory(store), events)

    card = run_async(run(Context.load(data)))
    with reporting():
        if json:
            write_json(to_json(card))
            return
        for number, paragraph in enumerate(show_panel(card)):
            write(*([""] if number else []), paragraph)


@app.command()
def remove(panel: Name, reason: Reason = "", data: Data = None) -> None:
    """Remove a panel: requests can't ask for it any more. It can be defined again."""

    async def run(ctx: Context) -> bool:
        async with changing_directory(ctx) as store:
            return bool(await change_template(store, templates.Remove(panel, reason, operator(), now_ms())))

    changed = run_async(run(Context.load(data)))
    show(f"Panel {panel} is removed{'' if changed else ' already'}.")
