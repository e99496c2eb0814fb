"""The `magi` command: its groups, and how errors become messages and exit codes."""

import io
import sys
import traceback

import typer

from magi.alerts.rules import RulesError
from magi.audit.labels import BadLabels
from magi.audit.manifest import NotAnExport
from magi.cli import logs, parts, serve, submit
from magi.cli.alerts import app as alerts_app
from magi.cli.audit import app as audit_app
from magi.cli.certs import app as certs_app
from magi.cli.config import app as config_app
from magi.cli.demo import demo
from magi.cli.doctor import doctor
from magi.cli.examples import ExampleError
from magi.cli.export import export
from magi.cli.history import history
from magi.cli.initiators import app as initiators_app
from magi.cli.metrics import metrics
from magi.cli.nats_config import app as nats_app
from magi.cli.panels import app as panels_app
from magi.cli.parts import PartFailed
from magi.cli.projections import app as projections_app
from magi.cli.projector import projector
from magi.cli.replay import replay
from magi.cli.requests import app as requests_app
from magi.cli.safe import printable
from magi.cli.settings import SettingsError
from magi.cli.streams import app as streams_app
from magi.cli.submit_client import SubmitFailed
from magi.cli.top.command import top
from magi.cli.vote import vote
from magi.cli.voter_functions import NoSuchVoter
from magi.cli.voters import app as voters_app
from magi.domain.errors import Refused
from magi.embedded import EmbeddedError
from magi.eventstore.bus import BusError, CannotConnect
from magi.eventstore.declarations import DeclarationError
from magi.eventstore.history import StoreError
from magi.eventstore.streams import StreamsError
from magi.gateway.server import CannotListen
from magi.projections.errors import ProjectionError
from magi.voters.callback_settings import CannotTakeCallbacks

FAILED = 2
"""The exit code of a command that could not do what it was asked to."""

_EXPECTED = (
    BadLabels,
    BusError,
    CannotConnect,
    CannotListen,
    CannotTakeCallbacks,
    DeclarationError,
    EmbeddedError,
    ExampleError,
    NoSuchVoter,
    NotAnExport,
    PartFailed,
    PermissionError,
    ProjectionError,
    Refused,
    RulesError,
    SettingsError,
    StoreError,
    StreamsError,
    SubmitFailed,
)
"""What has a message for the person who runs the command. Everything else is our fault and shows its traceback."""

app = typer.Typer(
    name="magi",
    help="MAGI: a panel of voters judges what machines make, before the world sees it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo)
app.command("serve")(serve.serve)
app.command("gateway")(parts.gateway)
app.command("orchestrator")(parts.orchestrator)
app.command("voter")(parts.voter)
app.command("projector")(projector)
app.command("submit")(submit.submit)
app.command("vote")(vote)
app.command("doctor")(doctor)
app.command("metrics")(metrics)
app.command("top")(top)
app.command("history")(history)
app.command("replay")(replay)
app.command("export")(export)
app.add_typer(requests_app)
app.add_typer(alerts_app)
app.add_typer(audit_app)
app.add_typer(initiators_app)
app.add_typer(voters_app)
app.add_typer(panels_app)
app.add_typer(projections_app)
app.add_typer(streams_app)
app.add_typer(nats_app)
app.add_typer(certs_app)
app.add_typer(config_app)


def run() -> None:
    """The entry point."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what a terminal's encoding lacks must not end a command
    try:
        app()
    except _EXPECTED as error:
        sys.stderr.write(f"magi: {printable(str(error))}\n")
        sys.exit(FAILED)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; Python would complain about it once more
        sys.exit(FAILED)
    except Exception as error:  # noqa: BLE001 - our fault; and Python's own exit code, 1, says `fail` or `they differ`
        if not logs.crashed(error):
            traceback.print_exc()
        sys.exit(FAILED)
