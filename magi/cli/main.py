"""Where `magi` begins and ends: how errors become messages and exit codes. Nothing that takes time is imported here."""

import io
import sys
import traceback

from magi.cli.kinds_of_errors import is_one_of

FAILED = 2
"""The exit code of a command that could not do what it was asked to."""

INTERRUPTED = 130
"""That of one that Ctrl-C ended."""

EXPECTED = frozenset(
    {
        "builtins.PermissionError",
        "magi.alerts.rules.RulesError",
        "magi.audit.labels.BadLabels",
        "magi.audit.manifest.NotAnExport",
        "magi.cli.context.NotRunning",
        "magi.cli.examples.ExampleError",
        "magi.cli.parts.PartFailed",
        "magi.cli.settings.SettingsError",
        "magi.cli.submit_client.SubmitFailed",
        "magi.cli.voter_functions.NoSuchVoter",
        "magi.domain.errors.Refused",
        "magi.embedded.errors.EmbeddedError",
        "magi.eventstore.bus.BusError",
        "magi.eventstore.bus.CannotConnect",
        "magi.eventstore.declarations.DeclarationError",
        "magi.eventstore.history.StoreError",
        "magi.eventstore.streams.StreamsError",
        "magi.gateway.server.CannotListen",
        "magi.projections.errors.ProjectionError",
        "magi.voters.callback_settings.CannotTakeCallbacks",
    }
)
"""What has a message for the person who runs the command. Everything else is our fault and shows its traceback."""


def run() -> None:
    """The entry point."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what a terminal's encoding lacks must not end a command
    try:
        from magi.cli.application import app  # here: a Ctrl-C meanwhile is one like any other

        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; Python would complain about it once more
        sys.exit(FAILED)
    except Exception as error:  # noqa: BLE001 - our fault; and Python's own exit code, 1, says `fail` or `they differ`
        if is_one_of(error, EXPECTED):
            from magi.cli.safe import printable

            sys.stderr.write(f"magi: {printable(str(error))}\n")
        elif not _logged(error):
            traceback.print_exc()
        sys.exit(FAILED)


def _logged(error: Exception) -> bool:
    """Whether a part that runs has it in its log."""
    from magi.cli import logs

    return logs.crashed(error)
