"""The names of streams, subjects and consumers, in one place (DESIGN §2). What they hold is declared in `streams/`."""

from magi.domain.ids import AggregateId, InitiatorId, VoterId, partition_of

LOG = "MAGI_LOG"
INBOX = "MAGI_INBOX"
TASKS = "MAGI_TASKS"
DIRECTORY = "MAGI_DIRECTORY"
PRESENCE = "KV_magi_presence"
USAGE = "KV_magi_usage"

LOG_PREFIX = "magi.log."
LIVE_PREFIX = "magi.live."
DIRECTORY_PREFIX = "magi.directory."
PRESENCE_PREFIX = "$KV.magi_presence."
USAGE_PREFIX = "$KV.magi_usage."
QUOTAS = "magi.quotas.*"
"""What each gateway tells the others of what is used of it; no stream keeps it."""

GROUP = "orchestrator"
"""The priority group of the inbox's consumers: one orchestrator at a time reads a partition."""


def submission(aggregate: AggregateId, initiator: InitiatorId, partitions: int) -> str:
    return f"magi.inbox.{partition_of(aggregate, partitions)}.submission.{initiator}"


def ballot(aggregate: AggregateId, voter: VoterId, partitions: int) -> str:
    return f"magi.inbox.{partition_of(aggregate, partitions)}.ballot.{voter}"


def tasks(voter: VoterId) -> str:
    return f"magi.tasks.{voter}"


def task_consumer(voter: VoterId) -> str:
    return f"voter-{voter}"


def inbox_consumer(partition: int) -> str:
    return f"inbox-{partition}"


def inbox_filter(partition: int) -> str:
    return f"magi.inbox.{partition}.>"


def live(initiator: InitiatorId) -> str:
    """All live events of an Initiator's requests."""
    return f"{LIVE_PREFIX}{initiator}.*"


def notice_initiator(initiator: str) -> str:
    return f"magi.notices.initiator.{initiator}"


def notice_voter(voter: str) -> str:
    return f"magi.notices.voter.{voter}"


def quotas(gateway: str) -> str:
    return f"magi.quotas.{gateway}"


def token_use(token_id: str) -> str:
    """When a token was used last."""
    return f"{USAGE_PREFIX}token.{token_id}"
