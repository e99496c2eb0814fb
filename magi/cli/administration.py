"""Putting on record what an operator does that is no change of a voter, a panel or an Initiator: see
`domain.operations`. And what was refused."""

import contextlib
import sys
from collections.abc import AsyncIterator

from magi.cli.context import Context
from magi.cli.directory import directory_of, open_directory, operator
from magi.cli.safe import printable_line
from magi.cli.settings import SettingsError
from magi.domain.clock import rfc3339
from magi.domain.errors import Conflict, Refused, UnknownVoter
from magi.domain.operations import Area, OperatorActed
from magi.eventstore.bus import BusError, Rejected
from magi.eventstore.directory import DirectoryLog, record_operation
from magi.eventstore.history import StoreError
from magi.eventstore.presence import now_ms

_PATIENCE = 3.0
"""Seconds that the record may take: what it is about was done."""
_LONGEST = 500


def _command() -> str:
    """The command that runs, such as `voters revoke`: all that change something have two words, which come first."""
    return " ".join(sys.argv[1:3])


async def put_on_record(ctx: Context, area: Area, what: str, reason: str = "") -> None:
    """Record that this command has done something. Where the directory can't be reached it says so on stderr."""
    try:
        async with ctx.bus("operator") as bus:
            await record_operation(await directory_of(bus, _PATIENCE), area, _acted(what, reason))
    except (BusError, Rejected, StoreError, SettingsError) as error:
        sys.stderr.write(f"magi: done, but not on record in the directory: {printable_line(str(error))}\n")


@contextlib.asynccontextmanager
async def changing_directory(ctx: Context) -> AsyncIterator[DirectoryLog]:
    """`open_directory` for a command that changes it: what is refused is put on record."""
    async with open_directory(ctx) as store:
        try:
            yield store
        except Refused as error:
            # Names and states can be told for ever; what a value was that can't be, might hold a secret.
            telling = isinstance(error, Conflict | UnknownVoter)
            what = error.message if telling else f"{error.code}: {error.message.partition(':')[0]}"
            with contextlib.suppress(BusError, Rejected, StoreError):  # the refusal itself is what has to be said
                await record_operation(store, "refused", _acted(what, "", refused=True))
            raise


def _acted(what: str, reason: str, *, refused: bool = False) -> OperatorActed:
    return OperatorActed(
        at=rfc3339(now_ms()),
        action=_command(),
        what=what[:_LONGEST],
        outcome="refused" if refused else "done",
        reason=reason[:_LONGEST],
        by=operator(),
    )
