"""Every metric of MAGI. What isn't declared here can't be exposed (`registry`); docs/metrics.md is printed from it."""

from collections.abc import Iterator

from magi.telemetry.metric import EVERY_PART, FAST, SLOW, STAGES, Metric, Part


def _counter(name: str, unit: str, help: str, *labels: str, parts: tuple[Part, ...]) -> Metric:
    return Metric(name=name, kind="counter", unit=unit, help=help, labels=labels, parts=parts)


def _gauge(name: str, unit: str, help: str, *labels: str, parts: tuple[Part, ...]) -> Metric:
    return Metric(name=name, kind="gauge", unit=unit, help=help, labels=labels, parts=parts)


def _seconds(name: str, help: str, *labels: str, parts: tuple[Part, ...], buckets: tuple[float, ...]) -> Metric:
    return Metric(name=name, kind="histogram", unit="seconds", help=help, labels=labels, parts=parts, buckets=buckets)


_O: tuple[Part, ...] = ("orchestrator",)
_G: tuple[Part, ...] = ("gateway",)
_V: tuple[Part, ...] = ("voters",)
_P: tuple[Part, ...] = ("projector",)

# --- Every process ----------------------------------------------------------------------------------------------------

BUILD = _gauge("magi_build_info", "", "Always 1; the version of MAGI that runs", "version", parts=EVERY_PART)
LOOP_LAG = _seconds(
    "magi_event_loop_lag_seconds",
    "How late the event loop ran what was due, looked at four times a second",
    parts=EVERY_PART,
    buckets=FAST,
)
POLL_FAILURES = _counter(
    "magi_poll_failures_total",
    "polls",
    "Polls for a scrape that got no answer: their gauges are missing then",
    "source",
    parts=_O,
)
NATS_CONNECTED = _gauge(
    "magi_nats_connected", "", "Whether there is a connection to NATS: 1, or 0 while there is none", parts=EVERY_PART
)
NATS_RECONNECTS = _counter(
    "magi_nats_reconnects_total", "reconnects", "How often the connection to NATS came back", parts=EVERY_PART
)
NATS_UNANSWERED = _counter(
    "magi_nats_unanswered_total",
    "requests",
    "Requests and publishes that NATS did not answer in time, or at all because the connection was lost",
    parts=EVERY_PART,
)
NATS_WAITING = _gauge(
    "magi_nats_waiting", "requests", "Requests and publishes that wait for their answer", parts=EVERY_PART
)
TRACE_SPANS = _counter(
    "magi_trace_spans_total",
    "spans",
    "Spans that were sent to the collector, could not be sent, or were dropped since too many waited",
    "outcome",
    parts=("orchestrator", "gateway", "voters"),
)
STORE_RETRIES = _counter(
    "magi_store_retries_total",
    "operations",
    "Reads, appends and ballots that were tried again, since their stream did not answer",
    "stream",
    parts=EVERY_PART,
)
APPEND_CONFLICTS = _counter(
    "magi_append_conflicts_total",
    "appends",
    "Appends that lost to another writer, and were decided anew",
    "stream",
    parts=EVERY_PART,
)
LOST_ACKS = _counter(
    "magi_lost_acks_total",
    "appends",
    "Appends whose acknowledgement was lost: the retry found them stored",
    "stream",
    parts=EVERY_PART,
)
PROCESS = (
    _counter("process_cpu_seconds_total", "seconds", "CPU time of the process, user and system", parts=EVERY_PART),
    _gauge("process_resident_memory_bytes", "bytes", "Memory of the process that is in RAM", parts=EVERY_PART),
    _gauge("process_virtual_memory_bytes", "bytes", "Address space of the process", parts=EVERY_PART),
    _gauge("process_start_time_seconds", "seconds", "When the process was started, since 1970", parts=EVERY_PART),
    _gauge("process_open_fds", "descriptors", "File descriptors that are open", parts=EVERY_PART),
    _gauge("process_max_fds", "descriptors", "File descriptors that may be open", parts=EVERY_PART),
)
"""`prometheus-client`'s own, under the names that they have everywhere."""

# --- Requests ---------------------------------------------------------------------------------------------------------

SUBMISSIONS = _counter(
    "magi_submissions_total",
    "submissions",
    "Submissions that an orchestrator has answered: `received`, `repeated` (it was there already) or `refused`",
    "outcome",
    parts=_O,
)
SUBMISSIONS_REFUSED = _counter(
    "magi_submissions_refused_total", "submissions", "Refused submissions, by the code of the error", "code", parts=_O
)
OPEN_REQUESTS = _gauge("magi_open_requests", "requests", "Requests that are in this orchestrator's memory", parts=_O)
OVERDUE_REQUESTS = _gauge(
    "magi_overdue_requests",
    "requests",
    "Requests in memory whose deadline was over 60 s ago, and that have no verdict",
    parts=_O,
)
REQUEST_SECONDS = _seconds(
    "magi_request_duration_seconds",
    "From the inbox's having stored a submission to its verdict's being in the log",
    "decided_by",
    parts=_O,
    buckets=SLOW,
)
OVERHEAD_SECONDS = _seconds(
    "magi_request_overhead_seconds",
    "MAGI's own share of a request: from its being stored in the inbox until its tasks are, and from the last vote, or"
    " the deadline, to the verdict",
    parts=_O,
    buckets=FAST,
)
STAGE_SECONDS = _seconds(
    "magi_request_stage_seconds",
    "Stages of a request: `inbox` (stored there until taken), `received` (taken until in the log), `dispatched`"
    " (… until its tasks are stored), `first_progress`, `first_result` and `last_result` (since its tasks are stored),"
    " `verdict` (last vote or deadline until the verdict is in the log), `sent` (… until handed to a connection)",
    "stage",
    parts=("orchestrator", "gateway"),
    buckets=STAGES,
)
VERDICTS = _counter(
    "magi_verdicts_total",
    "requests",
    "Verdicts; `decided_by` is `votes`, `early` or `deadline`",
    "verdict",
    "decided_by",
    "strategy",
    parts=_O,
)
LEFT = _counter(
    "magi_inbox_left_total",
    "messages",
    "Messages that could not be handled, were not acknowledged, and so come again",
    parts=_O,
)
REDELIVERIES = _counter(
    "magi_inbox_redeliveries_total",
    "messages",
    "Messages that came again. A submission does so at its deadline by design, a ballot only after a failure",
    "kind",
    parts=_O,
)
IN_HAND = _gauge(
    "magi_inbox_in_hand", "messages", "Messages that were taken from the inbox and are not handled yet", parts=_O
)

# --- Voters, as the orchestrators see them ----------------------------------------------------------------------------

VOTES = _counter(
    "magi_votes_total",
    "votes",
    "Votes that were counted, by what they said and the strategy they were cast under",
    "voter",
    "vote",
    "strategy",
    parts=_O,
)
VOTER_OUTCOMES = _counter(
    "magi_voter_outcomes_total",
    "tasks",
    "What became of a voter's tasks: it `voted`, it `failed` (abstained since it could not judge), or was `missing` at"
    " the deadline",
    "voter",
    "outcome",
    parts=_O,
)
VOTER_AGREEMENT = _counter(
    "magi_voter_agreement_total",
    "votes",
    "Whether a voter's pass or fail was the verdict: `yes` or `no`",
    "voter",
    "agreed",
    parts=_O,
)
VOTER_SECONDS = _seconds(
    "magi_voter_response_seconds",
    "From a request's tasks' being stored to the voter's vote's being in the log",
    "voter",
    parts=_O,
    buckets=SLOW,
)
VOTER_ACTIVE = _gauge(
    "magi_voter_active",
    "",
    "Whether a registered voter may be on panels: 1, or 0 while it is suspended; revoked ones are left out",
    "voter",
    parts=_O,
)
BALLOTS_REFUSED = _counter(
    "magi_ballots_refused_total", "ballots", "Refused ballots, by the code of the error", "code", parts=_O
)
ALERTS = _counter("magi_alerts_raised_total", "alerts", "MAGI's own alerts, by their name", "alert", parts=_O)

# --- Streams and queues, as the orchestrators see them ----------------------------------------------------------------

PARTITION_OWNED = _gauge(
    "magi_inbox_partition_owned", "", "Whether this orchestrator reads a partition: 1 or 0", "partition", parts=_O
)
INBOX_UNTAKEN = _gauge(
    "magi_inbox_untaken", "messages", "Messages of a partition that nobody has taken yet", "partition", parts=_O
)
INBOX_PUT_OFF = _gauge(
    "magi_inbox_put_off",
    "messages",
    "Messages of a partition that wait for their acknowledgement: open requests, and what is in hand",
    "partition",
    parts=_O,
)
TASKS_UNTAKEN = _gauge(
    "magi_tasks_untaken", "tasks", "Tasks of a voter that no instance has taken yet", "voter", parts=_O
)
TASKS_AT_WORK = _gauge("magi_tasks_at_work", "tasks", "Tasks that a voter has and has not answered", "voter", parts=_O)
STREAM_MESSAGES = _gauge("magi_stream_messages", "messages", "Messages in a stream", "stream", parts=_O)
STREAM_BYTES = _gauge("magi_stream_bytes", "bytes", "What a stream takes up on the disk", "stream", parts=_O)
STREAM_LAST = _gauge(
    "magi_stream_last_sequence",
    "messages",
    "The last sequence of a stream. It never falls: if it does, what was stored is gone",
    "stream",
    parts=_O,
)
STREAM_MISSING = _gauge(
    "magi_stream_missing_messages",
    "messages",
    "Messages missing in a stream that never deletes any: 0, or something is lost",
    "stream",
    parts=_O,
)
STREAM_USED = _gauge(
    "magi_stream_used_ratio",
    "",
    "The share of a stream's limit in messages or bytes that is used, whichever is more; only of streams with a limit",
    "stream",
    parts=_O,
)
STREAM_OLDEST = _gauge(
    "magi_stream_oldest_seconds",
    "seconds",
    "Age of the oldest message in a work queue: of the inbox the oldest open request",
    "stream",
    parts=_O,
)
STORAGE_BYTES = _gauge(
    "magi_jetstream_storage_bytes", "bytes", "What all streams of nats-server take up on its disk", parts=_O
)
STORAGE_LIMIT = _gauge(
    "magi_jetstream_storage_limit_bytes", "bytes", "What they may take up (`max_file_store`)", parts=_O
)
DISK_FREE = _gauge("magi_data_disk_free_bytes", "bytes", "Free on the disk of the data directory, for us", parts=_O)
DISK_SIZE = _gauge("magi_data_disk_size_bytes", "bytes", "The size of that disk", parts=_O)

# --- Gateway ----------------------------------------------------------------------------------------------------------

GATEWAY_REQUESTS = _counter(
    "magi_gateway_requests_total",
    "requests",
    "Requests of Initiators: `submitted` (stored in the inbox), `repeated` (told from the log) or `failed` (the inbox"
    " did not take it). Refused ones are in `magi_gateway_errors_total`",
    "outcome",
    parts=_G,
)
GATEWAY_SECONDS = _seconds(
    "magi_gateway_request_duration_seconds",
    "From a request's arrival on a connection to its verdict's being handed to the same connection",
    parts=_G,
    buckets=SLOW,
)
GATEWAY_OPEN = _gauge(
    "magi_gateway_open_requests", "requests", "Requests that clients of this gateway wait for", parts=_G
)
CONNECTIONS = _gauge(
    "magi_gateway_connections", "connections", "Clients that are connected: `initiator` or `voter`", "client", parts=_G
)
CONNECTIONS_OPENED = _counter(
    "magi_gateway_connections_opened_total", "connections", "Connections since the start", "client", parts=_G
)
CUT_OFF = _counter(
    "magi_gateway_cut_off_total",
    "connections",
    "Clients that were cut off since they did not read (`too_slow`) or answer a ping (`no_pong`)",
    "reason",
    parts=_G,
)
QUEUE_BYTES = _gauge("magi_gateway_outbound_bytes", "bytes", "What waits to be sent to clients, all together", parts=_G)
QUEUE_LONGEST = _gauge(
    "magi_gateway_outbound_longest_bytes", "bytes", "What waits for the client that most waits for", parts=_G
)
GATEWAY_ERRORS = _counter(
    "magi_gateway_errors_total", "errors", "Errors that clients were sent, by code", "client", "code", parts=_G
)
LIVE_HOLES = _counter(
    "magi_gateway_live_holes_total",
    "holes",
    "Live events that did not come, so that the log was read for them",
    parts=_G,
)

# --- Voters that MAGI runs --------------------------------------------------------------------------------------------

TASKS_JUDGED = _counter(
    "magi_voter_tasks_total",
    "tasks",
    "Tries at tasks by voters that run here: `voted`, `failed` (and the voter abstains) or `again` (to be tried again)",
    "voter",
    "outcome",
    parts=_V,
)
TASKS_OPEN = _gauge("magi_voter_tasks_open", "tasks", "Tasks that a voter here is judging", "voter", parts=_V)
TASK_REDELIVERIES = _counter(
    "magi_voter_task_redeliveries_total",
    "tasks",
    "Tasks that came to a voter here not for the first time",
    "voter",
    parts=_V,
)
JUDGE_SECONDS = _seconds(
    "magi_voter_judge_seconds", "How long a voter here took for a vote", "voter", parts=_V, buckets=SLOW
)
CALLBACKS_REFUSED = _counter(
    "magi_callbacks_refused_total", "callbacks", "Callbacks of HTTP voters that did not count", "why", parts=_V
)

# --- Projector --------------------------------------------------------------------------------------------------------

PROJECTION_RUNNING = _gauge(
    "magi_projection_running",
    "",
    "Whether this projector moves a projection forward: 1, or 0 when it stands, or another one does",
    "projection",
    parts=_P,
)
PROJECTION_HALTED = _gauge(
    "magi_projection_halted", "", "Whether an operator has to look before it can go on: 1 or 0", "projection", parts=_P
)
PROJECTION_POSITION = _gauge(
    "magi_projection_position", "messages", "The sequence that was written last", "projection", parts=_P
)
PROJECTION_LAG = _gauge(
    "magi_projection_lag_messages",
    "messages",
    "Messages in the stream that are not written yet",
    "projection",
    parts=_P,
)
PROJECTION_CAUGHT_UP = _gauge(
    "magi_projection_caught_up_timestamp_seconds",
    "seconds",
    "When it was last at the end of its stream, since 1970",
    "projection",
    parts=_P,
)
PROJECTION_FAILURES = _counter(
    "magi_projection_failures_total", "failures", "How often it broke off and began again", "projection", parts=_P
)

METRICS: tuple[Metric, ...] = tuple(
    metric
    for value in tuple(globals().values())
    for metric in (value if isinstance(value, tuple) else (value,))
    if isinstance(metric, Metric)
)
"""All of them, in the order of this file."""


def metrics_of(part: str) -> tuple[Metric, ...]:
    """Those of one part."""
    return tuple(metric for metric in METRICS if part in metric.parts)


def by_part() -> Iterator[tuple[str, list[Metric]]]:
    """All of them for a reader: those of every part, then those of each; what two parts show is the first one's."""
    yield "Every part", [metric for metric in METRICS if metric.parts == EVERY_PART]
    for part in EVERY_PART:
        yield part.capitalize(), [m for m in METRICS if m.parts[0] == part and m.parts != EVERY_PART]
