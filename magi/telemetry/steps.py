"""The lines that requests and administrative actions leave in the logs, as data; docs/logs.md is printed from it.

All else that a part logs is about its own state, or about something that went wrong, and has a name of its own.
"""

from typing import Literal

from msgspec import Struct

Level = Literal["debug", "info", "warning", "error"]
Part = Literal["gateway", "orchestrator", "voters", "projector", "serve"]
Each = Literal["request", "vote", "event", "refusal", "failure", "connection", "change"]


class Step(Struct, frozen=True):
    name: str
    level: Level
    parts: tuple[Part, ...]
    each: Each
    """What there is one line for."""
    fields: tuple[str, ...]
    """Those that are empty are left out of a line; `trace` is written as `trace_id`."""
    meaning: str
    """A sentence without its full stop."""


REQUEST = ("request", "request_id", "initiator_id", "trace")
"""On each line of a request, wherever it was asked for: its id in the log and in tasks, the Initiator's own id for it,
whose it is, and its trace."""
_BALLOT = (*REQUEST, "voter_id")

SUBMISSION_RECEIVED = Step(
    "submission_received",
    "debug",
    ("gateway",),
    "request",
    REQUEST,
    "A request was understood and checked, and goes into the inbox",
)
SUBMISSION_STORED = Step(
    "submission_stored", "debug", ("gateway",), "request", REQUEST, "It is in the inbox, and will be decided"
)
SUBMISSION_REFUSED = Step(
    "submission_refused",
    "info",
    ("gateway", "orchestrator"),
    "refusal",
    (*REQUEST, "code"),
    "An Initiator got an error about a request, with this code. The gateway knows it by `request_id` alone",
)
SUBMISSION_ACKNOWLEDGED = Step(
    "submission_acknowledged",
    "info",
    ("gateway",),
    "request",
    (*REQUEST, "latency_ms"),
    "The Initiator is told that its request is in the log; milliseconds since it was read",
)
EVENT_SENT = Step(
    "event_sent",
    "debug",
    ("gateway",),
    "event",
    (*REQUEST, "seq", "type"),
    "A stored event is on its way to a connection that follows the request",
)
REQUEST_RECEIVED = Step(
    "request_received",
    "debug",
    ("orchestrator",),
    "request",
    (*REQUEST, "panel"),
    "Its panel is chosen: it is in the log",
)
TASKS_DISPATCHED = Step(
    "tasks_dispatched",
    "debug",
    ("orchestrator",),
    "request",
    (*REQUEST, "voters"),
    "These voters have their tasks in their queues",
)
TASK_TAKEN = Step(
    "task_taken",
    "debug",
    ("voters", "gateway"),
    "vote",
    ("request", "request_id", "trace", "voter_id", "attempt"),
    "An instance of a voter has its task; the gateway says it of voters that are connected there",
)
VOTER_PROGRESS = Step(
    "voter_progress", "debug", ("orchestrator",), "vote", _BALLOT, "A voter said that it works on its task"
)
VOTE_SENT = Step(
    "vote_sent",
    "debug",
    ("voters", "gateway"),
    "vote",
    ("request", "request_id", "trace", "voter_id", "vote", "failed", "latency_ms"),
    "The vote is in the inbox; milliseconds since the task was taken",
)
VOTE_COUNTED = Step(
    "vote_counted", "debug", ("orchestrator",), "vote", (*_BALLOT, "vote", "failed"), "The vote is in the log"
)
CANNOT_JUDGE = Step(
    "cannot_judge",
    "warning",
    ("voters",),
    "failure",
    ("request", "request_id", "trace", "voter_id", "attempt", "error", "at"),
    "A judge raised `error` in the line `at`, or took too long. Was it its last try, `magi history` shows what it said",
)
BALLOT_REFUSED = Step(
    "ballot_refused",
    "info",
    ("orchestrator",),
    "refusal",
    (*_BALLOT, "code"),
    "A ballot does not count; the voter gets a notice with this code",
)
ADJUDICATED = Step(
    "adjudicated",
    "info",
    ("orchestrator",),
    "request",
    (*REQUEST, "verdict", "decided_by", "strategy", "reason", "votes", "latency_ms"),
    "The verdict is in the log, with so many votes; milliseconds since `request_received`",
)

CONNECTION_OPENED = Step(
    "connection_opened",
    "info",
    ("gateway",),
    "connection",
    ("client", "initiator_id", "voter_id", "remote"),
    "A client came in; without an id it has yet to authenticate",
)
CONNECTION_REFUSED = Step(
    "connection_refused",
    "debug",
    ("gateway",),
    "refusal",
    ("status", "why", "remote"),
    "A handshake got this HTTP status: its token is not valid, or it comes from a page of another origin. At `debug`, "
    "since anybody can cause it; both are counted in `magi_gateway_errors_total`, as `unauthorized` and `origin`",
)
MESSAGE_REFUSED = Step(
    "message_refused",
    "info",
    ("gateway",),
    "refusal",
    ("client", "initiator_id", "voter_id", "about", "code", "remote"),
    "What a client sent was answered with an error, and was no submission that could be read",
)
CONNECTION_CLOSED = Step(
    "connection_closed",
    "info",
    ("gateway",),
    "connection",
    ("client", "initiator_id", "voter_id", "remote", "code", "reason", "by", "seconds"),
    "It is over, by whom and with which close code; the reason only if it is ours",
)
DIRECTORY_CHANGED = Step(
    "directory_changed",
    "info",
    ("gateway", "orchestrator", "voters"),
    "change",
    ("change", "about", "by", "what", "why", "sequence"),
    "The part goes by an administrative change from here on (`magi audit log` lists them all)",
)

FLOW = (
    SUBMISSION_RECEIVED,
    SUBMISSION_STORED,
    REQUEST_RECEIVED,
    SUBMISSION_ACKNOWLEDGED,
    TASKS_DISPATCHED,
    TASK_TAKEN,
    VOTER_PROGRESS,
    VOTE_SENT,
    VOTE_COUNTED,
    ADJUDICATED,
    EVENT_SENT,
    SUBMISSION_REFUSED,
    BALLOT_REFUSED,
    CANNOT_JUDGE,
)
"""What one request leaves, in about this order."""
AROUND = (CONNECTION_OPENED, CONNECTION_REFUSED, MESSAGE_REFUSED, CONNECTION_CLOSED, DIRECTORY_CHANGED)
STEPS = (*FLOW, *AROUND)
"""Of requests, and of who asks and administers."""

SERVERS = (
    Step(
        "server_ended",
        "warning",
        ("serve",),
        "failure",
        ("server", "exit_code", "failures"),
        "nats-server, Postgres or a part ended by itself, so many times in a row; it is started again",
    ),
    Step(
        "server_restarted", "info", ("serve",), "failure", ("server", "pid", "seconds"), "It runs again, after so long"
    ),
    Step(
        "server_not_restarted",
        "warning",
        ("serve",),
        "failure",
        ("server", "error", "failures"),
        "It did not start; it is tried again",
    ),
    Step(
        "server_given_up",
        "error",
        ("serve",),
        "failure",
        ("server", "failures"),
        "It ended or did not start so many times in a row, and is not tried again at once",
    ),
    Step(
        "leftover_stopped",
        "warning",
        ("serve",),
        "failure",
        ("server", "pid"),
        "At its start: a server that a killed `magi serve` left behind is stopped",
    ),
    Step(
        "nats_users_lost",
        "warning",
        ("serve",),
        "failure",
        ("error",),
        "Those of the last run can't be read; they are set again from the directory",
    ),
)
"""What keeps servers and parts running, in the log of `magi serve`."""
