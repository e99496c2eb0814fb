"""The rows that events lead to: what one batch adds to the tables. Fields are columns, in the tables' order."""

from msgspec import Struct


class RequestRow(Struct):
    """A row of `requests`, written when `received` is; the verdict's fields are filled in if it is of the same batch.

    Times are texts, as the events have them; `panel` is a Postgres array literal and `parameters` JSON.
    """

    id: str
    initiator_id: str
    request_id: str
    received_at: str
    deadline: str
    panel: str
    strategy: str
    parameters: str
    decide: str
    received_seq: int
    verdict: str | None = None
    decided_at: str | None = None
    decided_by: str | None = None
    reason: str | None = None
    tally_pass: int | None = None
    tally_fail: int | None = None
    tally_abstain: int | None = None
    tally_missing: int | None = None
    latency_ms: int | None = None
    decided_seq: int | None = None


class VerdictRow(Struct, frozen=True):
    """The verdict of a request that was written in an earlier batch."""

    id: str
    verdict: str
    decided_at: str
    decided_by: str
    reason: str
    tally_pass: int
    tally_fail: int
    tally_abstain: int
    tally_missing: int
    latency_ms: int
    decided_seq: int


class ContentRow(Struct, frozen=True):
    id: str
    user_query: str
    agent_answer: str
    metadata: str


class VoteRow(Struct, frozen=True):
    id: str
    voter_id: str
    vote: str
    voted_at: str
    latency_ms: int
    confidence: float | None
    reason: str | None
    seq: int


class VoterTotals(Struct):
    """What a batch adds to a voter's sums."""

    voter_id: str
    panels: int = 0
    passes: int = 0
    fails: int = 0
    abstentions: int = 0
    judged: int = 0
    """Pass and fail votes on requests that have a verdict."""
    agreed: int = 0
    """Those that were the verdict."""
    missing: int = 0
    timeouts: int = 0
    last_seen: str | None = None


class VoterLatency(Struct):
    voter_id: str
    latency_ms: int
    votes: int = 0


class VerdictHour(Struct):
    hour: str
    strategy: str
    verdict: str
    decided_by: str
    requests: int = 0
    missing: int = 0
    latency_ms_sum: int = 0
    latency_ms_max: int = 0


class DirectoryVoter(Struct, frozen=True):
    voter_id: str
    version: int
    kind: str
    description: str
    group_name: str
    public_key: str
    status: str
    since: str
    reason: str
