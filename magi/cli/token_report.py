"""How tokens are listed: what they are good for, until when, and when they were used last. Pure."""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from rich.text import Text

from magi.cli.directory_report import columns
from magi.domain.tokens import Token


class TokenRow(Struct, frozen=True):
    token_id: str
    """What `revoke` takes."""
    scopes: tuple[str, ...]
    issued: str
    expires: str
    """RFC 3339; empty: never."""
    expired: bool
    last_used: str
    """RFC 3339, to about five minutes; empty: never, or not for as long as that is kept (400 days)."""


def token_rows(tokens: Mapping[str, Token], uses: Mapping[str, str], now: int) -> tuple[TokenRow, ...]:
    """Those that are not revoked, the oldest first; `uses` is by token id, `now` in milliseconds since 1970."""
    rows = [
        TokenRow(name, token.scopes, token.issued, token.expires, token.has_expired(now), uses.get(name, ""))
        for name, token in tokens.items()
    ]
    return tuple(sorted(rows, key=lambda row: (row.issued, row.token_id)))


def show_tokens(rows: Sequence[TokenRow]) -> Text:
    """A line each, in columns."""
    if not rows:
        return Text("No token is valid.")
    cells = [
        (
            row.token_id,
            " ".join(row.scopes),
            row.issued or "-",
            ("expired " if row.expired else "") + (row.expires or "never"),
            row.last_used or "-",
        )
        for row in rows
    ]
    return Text("\n").join(
        [Text("Tokens", "bold"), columns(("token", "good for", "issued", "expires", "last used"), cells)]
    )
