"""Identity: how the ids of initiators, voters and requests are formed, checked and mapped to aggregates.

A client's own words never reach a subject: a request's aggregate is named by a UUID that is derived from them.
"""

import hashlib
import re
import uuid
import zlib
from functools import lru_cache
from typing import NewType

from magi.domain.errors import InvalidMessage

InitiatorId = NewType("InitiatorId", str)
"""Who submits: ``[a-z0-9_-]{1,64}``."""

VoterId = NewType("VoterId", str)
"""Who judges: ``[a-z0-9_-]{1,64}``."""

RequestId = NewType("RequestId", str)
"""The Initiator's own name for a request: 1 to 128 characters of Unicode without control characters."""

AggregateId = NewType("AggregateId", str)
"""Names an aggregate within its stream. A request's is ``<initiator>.<uuid>``, a voter's ``voter.<id>``."""

TaskId = NewType("TaskId", str)
"""``<initiator>.<uuid>.<voter>``: what one voter has to judge. Opaque to voters."""

_NAME = re.compile(r"[a-z0-9_-]{1,64}\Z")
_TASK = re.compile(r"([a-z0-9_-]{1,64}\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([a-z0-9_-]{1,64})\Z")
# C0, DEL, C1 and lone surrogates; the rest of Unicode is the Initiator's to use.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "requests.magi")
MAX_REQUEST_ID = 128


def check_name(text: str, field: str) -> str:
    """Return `text` when it can be a voter's or an initiator's id.

    Raises InvalidMessage, naming `field`, otherwise.
    """
    if not _NAME.match(text):
        raise InvalidMessage(f"{field}: expected 1 to 64 of a-z, 0-9, '_' and '-', got {text[:80]!r}")
    return text


def check_request_id(text: str) -> RequestId:
    """Return `text` when it can name a request (PROTOCOL §1). Raises InvalidMessage otherwise."""
    if not text or len(text) > MAX_REQUEST_ID:
        raise InvalidMessage(f"request_id: expected 1 to {MAX_REQUEST_ID} characters, got {len(text)}")
    if _CONTROL.search(text):
        raise InvalidMessage("request_id: expected no control characters")
    return RequestId(text)


def request_aggregate(initiator: InitiatorId, request: RequestId) -> AggregateId:
    """The aggregate of a request: the same for the same Initiator and request id, always."""
    return AggregateId(f"{initiator}.{_uuid5(f'{initiator}/{request}')}")


@lru_cache(maxsize=4096)  # a gateway asks for that of one request again and again
def _uuid5(name: str) -> str:
    """The text of `uuid.uuid5(_NAMESPACE, name)`, which is half as fast."""
    digest = hashlib.sha1(_NAMESPACE.bytes + name.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def voter_aggregate(voter: VoterId) -> AggregateId:
    return AggregateId(f"voter.{voter}")


def panel_aggregate(panel: str) -> AggregateId:
    """Of a panel template."""
    return AggregateId(f"panel.{panel}")


def initiator_aggregate(initiator: InitiatorId) -> AggregateId:
    return AggregateId(f"initiator.{initiator}")


def partition_of(aggregate: AggregateId, partitions: int) -> int:
    """The inbox partition of a request: ``crc32(request uuid) % partitions``, 0 to `partitions` - 1."""
    return zlib.crc32(aggregate[aggregate.index(".") + 1 :].encode()) % partitions


def task_id(aggregate: AggregateId, voter: VoterId) -> TaskId:
    return TaskId(f"{aggregate}.{voter}")


def split_task_id(text: str) -> tuple[AggregateId, VoterId] | None:
    """The request and the voter that a task id names, or None when it is not one of ours."""
    found = _TASK.match(text)
    return (AggregateId(found[1]), VoterId(found[2])) if found else None
