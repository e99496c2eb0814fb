"""`magi voters rotate-key`, `token`, `rotate-token` and `revoke-token`: what a voter proves with who it is."""

from typing import Annotated

import typer

from magi.cli.administration import changing_directory
from magi.cli.context import Context, run_async
from magi.cli.directory import operator
from magi.cli.options import Data
from magi.cli.output import show
from magi.cli.token_options import Expires, Overlap, expiry, span
from magi.cli.voter_access import introduce
from magi.cli.voter_registration import Id, Reason, add_token, show_token
from magi.cli.voter_secrets import keep_token, token_file
from magi.domain import voter_commands as voters
from magi.domain.ids import VoterId
from magi.domain.voter_commands import VoterCommand
from magi.embedded import nkey
from magi.eventstore.directory import change_voter
from magi.eventstore.presence import now_ms


def rotate_key(voter: Id, reason: Reason = "", data: Data = None) -> None:
    """Give a voter on the bus another key. The old one is worth nothing at once, on open connections too.

    The new seed is the last word on stdout, shown this once.
    """
    ctx = Context.load(data)
    public, seed = nkey.generate()
    run_async(_change(ctx, voters.ChangeKey(voter, public, reason, operator(), now_ms())))
    show(f"Voter {voter} has another key.")
    introduce(ctx, VoterId(voter), public, seed)


def token(voter: Id, expires: Expires = "", data: Data = None) -> None:
    """Print a further token of a voter."""
    command = voters.IssueToken(voter, "", operator(), now_ms(), expiry(expires))
    issued = run_async(_issue(Context.load(data), command))
    _keep(data, voter, issued)
    show(f"Voter {voter} has a further token.")
    show_token(voter, issued)


def rotate_token(
    voter: Id, overlap: Overlap = "1h", expires: Expires = "", reason: Reason = "", data: Data = None
) -> None:
    """Print a new token of a voter, and let all others expire after the overlap."""
    now = now_ms()
    command = voters.RotateTokens(voter, "", now + span(overlap), reason, operator(), now, expiry(expires))
    issued = run_async(_issue(Context.load(data), command))
    _keep(data, voter, issued)
    show(f"Voter {voter} has a new token; the others expire in {overlap}, if not before.")
    show_token(voter, issued)


async def _issue(ctx: Context, command: voters.IssueToken | voters.RotateTokens) -> str:
    async with changing_directory(ctx) as store:
        return await add_token(store, command)


def revoke_token(
    voter: Id,
    token_id: Annotated[str, typer.Argument(help="The token's id (`magi voters show`), not the token.")],
    reason: Reason = "",
    data: Data = None,
) -> None:
    """Revoke one token of a voter. Connections that were opened with it are closed at once."""
    command = voters.RevokeToken(voter, token_id, reason, operator(), now_ms())
    run_async(_change(Context.load(data), command))
    show(f"The token {token_id} of voter {voter} is revoked.")


async def _change(ctx: Context, command: VoterCommand) -> None:
    async with changing_directory(ctx) as store:
        await change_voter(store, command)


def _keep(data: Data, voter: str, token: str) -> None:
    """`magi vote` on this machine goes on with the new token, if it has one here."""
    folder = Context.load(data).data
    if token_file(folder, voter).exists():
        keep_token(folder, voter, token)
