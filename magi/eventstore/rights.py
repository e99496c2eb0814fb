"""What each identity may do on NATS: every part's own key, and every voter's (PROTOCOL §3), the least that works.

Only `operator` and `orchestrator` write events, and only they are users of the account that holds the streams. All
others are users of a second account, the edge, which reaches the first through the services and feeds below. That is
more than order: nats-server checks a message's subject against the rights of who sends it, but not its reply subject,
to which it then publishes itself. In the streams' own account, whoever may ask for anything could have the answer
stored in the log (seen with nats-server 2.15.1). An answer to somebody at the edge stays in the edge's account.
"""

from typing import Literal, get_args

from msgspec import Struct

from magi.domain.ids import VoterId
from magi.eventstore import subjects

Component = Literal["operator", "orchestrator", "gateway", "voters", "projector", "auditor"]
"""The parts, as NATS knows them: `operator` is `magi serve` and the commands that change something, `voters` is
`magi voter`, `auditor` the commands that only read."""
COMPONENTS: tuple[Component, ...] = get_args(Component)

Account = Literal["core", "edge"]

_ALL = (subjects.LOG, subjects.INBOX, subjects.TASKS, subjects.DIRECTORY, subjects.PRESENCE, subjects.USAGE)
_API = "$JS.API."
_INBOX_CONSUMERS = f"{subjects.INBOX}.*"
_TASK_CONSUMERS = f"{subjects.TASKS}.*"
_VOTER_PRESENCE = f"{subjects.PRESENCE_PREFIX}voter.*.*"
_TOKEN_USE = subjects.token_use("*")


class Rights(Struct, frozen=True):
    """The subjects that a connection may publish to and subscribe to."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    account: Account = "edge"
    """`core` holds the streams."""


class Service(Struct, frozen=True):
    """Subjects of the streams' account that are served to the edge."""

    subject: str
    streamed: bool = False
    """One question has many answers."""


def inbox_prefix(component: Component) -> str:
    """Where a component's answers go. In capitals: voters' ids, which are in their prefixes, have none."""
    return f"_INBOX_{component.upper()}"


def component_rights(component: Component) -> Rights:
    """What a part may do."""
    inbox = f"{inbox_prefix(component)}.>"
    match component:
        case "operator":
            return Rights((*_OPERATES, *_looks(*_ALL)), (inbox,), "core")
        case "orchestrator":
            return Rights((*_ORCHESTRATES, *_looks(*_ALL)), (inbox,), "core")
        case "gateway":
            publish = ("magi.inbox.*.submission.*", *_VOTES, *_gets(subjects.LOG), *_follows(subjects.DIRECTORY))
            publish = (*publish, _TOKEN_USE, subjects.QUOTAS)
            heard = (inbox, f"{subjects.LIVE_PREFIX}>", "magi.notices.>", subjects.QUOTAS)
            return Rights((*publish, *_looks(*_ALL)), heard)
        case "voters":
            publish = (*_VOTES, *_follows(subjects.DIRECTORY), *_looks(*_ALL))
            return Rights(publish, (inbox, subjects.notice_voter("*")))
        case "projector":
            return Rights((*_reads(subjects.LOG, subjects.DIRECTORY), *_looks(*_ALL)), (inbox,))
        case "auditor":
            return Rights(_reads(subjects.LOG, subjects.DIRECTORY), (inbox,))


def voter_rights(voter: VoterId) -> Rights:
    """What a voter on the bus may do: read its tasks, publish its ballots, and nothing else."""
    consumer = f"{subjects.TASKS}.{subjects.task_consumer(voter)}"
    return Rights(
        publish=(
            f"magi.inbox.*.ballot.{voter}",
            f"{_API}CONSUMER.MSG.NEXT.{consumer}",
            f"{_API}CONSUMER.INFO.{consumer}",
            *_acknowledges(consumer),
            f"{subjects.PRESENCE_PREFIX}voter.{voter}.*",
        ),
        subscribe=(f"_INBOX_{voter}.>", subjects.notice_voter(voter)),
    )


def _looks(*streams: str) -> tuple[str, ...]:
    """Every part compares the streams with their declarations when it starts."""
    return tuple(f"{_API}STREAM.INFO.{stream}" for stream in streams)


def _gets(*streams: str) -> tuple[str, ...]:
    """Load stored messages."""
    return tuple(f"{_API}DIRECT.GET.{stream}" for stream in streams)


def _follows(*streams: str) -> tuple[str, ...]:
    """Read a stream by a consumer of one's own, and remove it."""
    return tuple(
        f"{_API}CONSUMER.{what}"
        for stream in streams
        for what in (f"CREATE.{stream}", f"MSG.NEXT.{stream}.*", f"DELETE.{stream}.*")
    )


def _reads(*streams: str) -> tuple[str, ...]:
    """Everything that is in them."""
    by_sequence = tuple(f"{_API}STREAM.MSG.GET.{stream}" for stream in streams)
    return (*_looks(*streams), *_gets(*streams), *_follows(*streams), *by_sequence)


def _acknowledges(consumers: str) -> tuple[str, ...]:
    # The newer form of the subject has a domain and an account before the stream.
    return (f"$JS.ACK.{consumers}.>", f"$JS.ACK.*.*.{consumers}.>")


_VOTES = (
    "magi.inbox.*.ballot.*",
    f"{_API}CONSUMER.DURABLE.CREATE.{_TASK_CONSUMERS}",
    f"{_API}CONSUMER.MSG.NEXT.{_TASK_CONSUMERS}",
    f"{_API}CONSUMER.INFO.{_TASK_CONSUMERS}",
    *_acknowledges(_TASK_CONSUMERS),
    _VOTER_PRESENCE,
)
"""As any voter, for those that come over WebSocket or are called."""

_ORCHESTRATES = (
    f"{subjects.LOG_PREFIX}*.*",
    "magi.tasks.*",
    "magi.notices.>",
    f"{subjects.DIRECTORY_PREFIX}voter.*",  # it suspends and reinstates
    f"{subjects.PRESENCE_PREFIX}orchestrator.*",
    f"{_API}STREAM.CREATE.{subjects.PRESENCE}",  # a server that is alone loses it with every restart
    *_gets(subjects.LOG, subjects.DIRECTORY, subjects.PRESENCE),
    *_follows(subjects.DIRECTORY),
    f"{_API}CONSUMER.DURABLE.CREATE.{_INBOX_CONSUMERS}",
    f"{_API}CONSUMER.MSG.NEXT.{_INBOX_CONSUMERS}",
    f"{_API}CONSUMER.INFO.{_INBOX_CONSUMERS}",
    f"{_API}CONSUMER.UNPIN.{_INBOX_CONSUMERS}",
    f"{_API}CONSUMER.DELETE.{_INBOX_CONSUMERS}",
    f"{_API}CONSUMER.DURABLE.CREATE.{_TASK_CONSUMERS}",
    f"{_API}CONSUMER.INFO.{_TASK_CONSUMERS}",
    *_acknowledges(_INBOX_CONSUMERS),
)

_OPERATES = (
    f"{subjects.DIRECTORY_PREFIX}*.*",
    *(f"{_API}STREAM.{what}.{stream}" for what in ("CREATE", "UPDATE") for stream in _ALL),
    f"{_API}INFO",
    *_gets(subjects.DIRECTORY, subjects.PRESENCE, subjects.USAGE),
    *_follows(subjects.DIRECTORY),
    f"{_API}CONSUMER.LIST.{subjects.INBOX}",
    f"{_API}CONSUMER.INFO.{_INBOX_CONSUMERS}",
    f"{_API}CONSUMER.DELETE.{_INBOX_CONSUMERS}",
    f"{_API}STREAM.MSG.GET.{subjects.INBOX}",
    f"{_API}CONSUMER.DURABLE.CREATE.{_TASK_CONSUMERS}",
    f"{_API}CONSUMER.INFO.{_TASK_CONSUMERS}",
)

EDGE_SERVICES = (
    Service("magi.inbox.*.submission.*"),
    Service("magi.inbox.*.ballot.*"),
    Service(_VOTER_PRESENCE),
    Service(_TOKEN_USE),
    *(Service(subject) for subject in _acknowledges(_TASK_CONSUMERS)),
    # As a whole: beside anything more special the server answers itself, that the edge has no streams.
    Service(f"{_API}>", streamed=True),
)
"""What the edge may ask of the streams' account at all; who of it may, is said by each one's rights."""

EDGE_FEEDS = (f"{subjects.LIVE_PREFIX}>", "magi.notices.>")
"""What the edge may hear of it."""
