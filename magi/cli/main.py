"""The `magi` command: its groups, and how errors become messages and exit codes."""

import sys

import typer

from magi.cli import parts, serve
from magi.cli.config import app as config_app
from magi.cli.parts import PartFailed
from magi.cli.settings import SettingsError
from magi.cli.streams import app as streams_app
from magi.cli.voter_functions import NoSuchVoter
from magi.domain.errors import Refused
from magi.embedded import EmbeddedError
from magi.eventstore.bus import BusError, CannotConnect
from magi.eventstore.declarations import DeclarationError
from magi.eventstore.history import StoreError
from magi.eventstore.streams import StreamsError
from magi.gateway.server import CannotListen

FAILED = 2
"""The exit code of a command that could not do what it was asked to."""

_EXPECTED = (
    BusError,
    CannotConnect,
    CannotListen,
    DeclarationError,
    EmbeddedError,
    NoSuchVoter,
    PartFailed,
    Refused,
    SettingsError,
    StoreError,
    StreamsError,
)
"""What has a message for the person who runs the command. Everything else is our fault and shows its traceback."""

app = typer.Typer(
    name="magi",
    help="MAGI: a panel of voters judges what machines make, before the world sees it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve")(serve.serve)
app.command("gateway")(parts.gateway)
app.command("orchestrator")(parts.orchestrator)
app.command("voter")(parts.voter)
app.add_typer(streams_app)
app.add_typer(config_app)


def run() -> None:
    """The entry point."""
    try:
        app()
    except _EXPECTED as error:
        sys.stderr.write(f"magi: {error}\n")
        sys.exit(FAILED)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; Python would complain about it once more
        sys.exit(FAILED)
