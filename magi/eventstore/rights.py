"""What a voter's own key may do on NATS (PROTOCOL §3): read its tasks, publish its ballots, and nothing else."""

from msgspec import Struct

from magi.domain.ids import VoterId
from magi.eventstore import subjects


class Rights(Struct, frozen=True):
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def voter_rights(voter: VoterId) -> Rights:
    """The subjects that a voter's connection may publish to and subscribe to."""
    consumer = f"{subjects.TASKS}.{subjects.task_consumer(voter)}"
    return Rights(
        publish=(
            f"magi.inbox.*.ballot.{voter}",
            f"$JS.API.CONSUMER.MSG.NEXT.{consumer}",
            f"$JS.API.CONSUMER.INFO.{consumer}",
            f"$JS.ACK.{consumer}.>",
            f"$JS.ACK.*.*.{consumer}.>",  # the newer form, with a domain and an account
            f"{subjects.PRESENCE_PREFIX}voter.{voter}.*",
        ),
        subscribe=(f"_INBOX_{voter}.>", subjects.notice_voter(voter)),
    )
