"""The SQL of the projections: read from the files beside this module, one a question."""

import hashlib
from functools import cache
from importlib.resources import files

from magi.projections.errors import ProjectionError

LAYOUT = 1
"""Of what the tables hold. Raise it when `tables.sql` or the fold changes what is in a row: older tables are then not
written any more, and `magi projections rebuild` makes new ones beside them. A test holds it to `tables.sql`."""

VIEWS = ("requests", "votes", "voters", "verdicts_hourly", "open_requests")
"""What operators query, in schema `magi`."""

KEYS = {
    "requests": ("id",),
    "contents": ("id",),
    "votes": ("id", "voter_id"),
    "voter_totals": ("voter_id",),
    "voter_latencies": ("voter_id", "latency_ms"),
    "verdict_hours": ("hour", "strategy", "verdict", "decided_by"),
    "directory_voters": ("voter_id",),
}
"""The tables of a version that hold what was folded, and what names a row of each."""

SCRATCH = "pg_temp"
"""The schema of tables that only one session sees, and that end with it."""


@cache
def sql(name: str) -> bytes:
    """The text of ``sql/<name>.sql``."""
    return files(__package__).joinpath("sql", *f"{name}.sql".split("/")).read_bytes()


@cache
def views_digest() -> str:
    """Tells whether the views in the database are those of this program."""
    return hashlib.sha256(b"".join(sql(f"views/{view}") for view in VIEWS)).hexdigest()[:16]


def schema_of(version: int) -> str:
    """The schema that holds a version's tables."""
    if version < 1:
        raise ProjectionError(f"version: expected 1 or more, got {version}")
    return f"magi_v{version}"
