"""`magi nats config`: the users of a nats-server of one's own: each part has its own key and the least rights."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from magi.cli.context import Context, run_async
from magi.cli.directory import open_directory, read_directory
from magi.cli.local import nats_users
from magi.cli.nats_access import EDGE, component_users, make_secret_folder, seed_file
from magi.cli.nats_servers import servers
from magi.cli.options import Data
from magi.cli.output import show
from magi.embedded.users import NatsUser, render
from magi.eventstore.rights import COMPONENTS

app = typer.Typer(name="nats", help="A NATS of your own.", no_args_is_help=True)
app.command()(servers)


@app.callback()
def nats() -> None:
    """A NATS of your own."""


@app.command()
def config(
    out: Annotated[
        Path | None,
        typer.Option(help="Where the seeds are, or are to be written.", show_default="keys/ in the data directory"),
    ] = None,
    voters: Annotated[
        bool, typer.Option("--voters", help="With the voters of the running MAGI that have keys of their own.")
    ] = False,
    data: Data = None,
) -> None:
    """Print the accounts, users and rights for the configuration of a nats-server; seeds that are missing are made."""
    ctx = Context.load(data)
    directory = (out or ctx.data / "keys").absolute()
    registered = run_async(_registered(ctx)) if voters else []
    make_secret_folder(directory)
    users = [*component_users(directory), *registered]
    sys.stderr.write(f"magi: the seeds are in {directory}: {_names(directory)}\n")
    sys.stderr.write("magi: set nats.seed_dir to it, or give each part its own file as nats.seed_file\n")
    show(render("", users, EDGE).decode().rstrip())


def _names(directory: Path) -> str:
    return ", ".join(seed_file(directory, component).name for component in COMPONENTS)


async def _registered(ctx: Context) -> list[NatsUser]:
    async with open_directory(ctx) as store:
        return nats_users(await read_directory(store))
