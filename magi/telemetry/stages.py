"""The spans of a request, as data: one for each stage that it goes through. docs/tracing.md is written from it.

Names and attributes follow OpenTelemetry's conventions for messaging: `{operation} {destination template}`. What takes
a message is linked to what sent it, and hangs from the request's first span, wherever it runs.
"""

from typing import Literal

from msgspec import Struct

from magi.telemetry.metric import Part

SpanKind = Literal["server", "client", "producer", "consumer", "internal"]
Operation = Literal["send", "process"]


class Stage(Struct, frozen=True, kw_only=True):
    name: str
    kind: SpanKind
    parts: tuple[Part, ...]
    help: str
    """What lies between its beginning and its end; a sentence without a full stop."""
    operation: Operation | None = None
    """What is done with a message, if it is about one."""
    template: str = ""
    """The message's subject, with names for what differs."""


def _send(template: str, help: str, *parts: Part) -> Stage:
    name = f"send {template}"
    return Stage(name=name, kind="producer", parts=parts, help=help, operation="send", template=template)


def _process(template: str, help: str, *parts: Part) -> Stage:
    name = f"process {template}"
    return Stage(name=name, kind="consumer", parts=parts, help=help, operation="process", template=template)


SUBMISSION = "magi.inbox.{partition}.submission.{initiator}"
BALLOT = "magi.inbox.{partition}.ballot.{voter}"
TASK = "magi.tasks.{voter}"
EVENT = "magi.log.{initiator}.{request}"
LIVE = "magi.live.{initiator}.{request}"

REQUEST = Stage(
    name="request",
    kind="server",
    parts=("gateway",),
    help="A `request` of an Initiator, from its arrival until it is in the inbox, refused, or answered from the log",
)
SEND_SUBMISSION = _send(SUBMISSION, "The submission into the inbox, until it is stored", "gateway")
PROCESS_SUBMISSION = _process(
    SUBMISSION,
    "All that a submission leads to when it comes: reception and dispatch, and at its deadline the verdict",
    "orchestrator",
)
APPEND = _send(EVENT, "One event into the log, until it is stored", "orchestrator")
SEND_TASK = _send(TASK, "One voter's task, until it is stored", "orchestrator")
PROCESS_TASK = _process(
    TASK,
    "A task, from its delivery until its result is in the inbox, or it is given up or back. The judging is in it",
    "voters",
    "gateway",
)
CALL = Stage(
    name="POST",
    kind="client",
    parts=("voters",),
    help="The call of an HTTP service or a model's server, with all its tries, as long as it takes",
)
SEND_BALLOT = _send(BALLOT, "A ballot into the inbox, until it is stored", "voters", "gateway")
PROCESS_BALLOT = _process(BALLOT, "All that a ballot leads to: its event, and perhaps the verdict", "orchestrator")
ADJUDICATE = Stage(
    name="adjudicate",
    kind="internal",
    parts=("orchestrator",),
    help="The verdict: from the decision until its event is stored",
)
TELL = _process(LIVE, "An event on its way to the Initiator, until it waits in the connection's queue", "gateway")

STAGES: tuple[Stage, ...] = (
    REQUEST,
    SEND_SUBMISSION,
    PROCESS_SUBMISSION,
    APPEND,
    SEND_TASK,
    PROCESS_TASK,
    CALL,
    SEND_BALLOT,
    PROCESS_BALLOT,
    ADJUDICATE,
    TELL,
)
"""All of them, in the order in which a request meets them."""
