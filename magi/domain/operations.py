"""What operators do to a running MAGI besides changing its voters, panels and Initiators, and kept beside these: who,
what, when, and why. Nothing follows from it but the record.
"""

from typing import Literal

from magi.domain.event import Event
from magi.domain.ids import AggregateId

Area = Literal["streams", "projections", "refused"]
"""What was acted on; `refused` are the changes of the directory that were asked for and not made."""

# --- Events: their fields are the storage format. Only add fields, with defaults. -------------------------------------


class OperatorActed(Event, frozen=True, kw_only=True, tag="operator_acted"):
    action: str
    """The command's name, such as `streams apply`."""
    what: str = ""
    """What it did, or what it was refused for, in a few words."""
    outcome: str = "done"
    """Or `refused`. A text, since parts of this version read what later ones write."""
    reason: str = ""
    by: str


def operations_aggregate(area: Area) -> AggregateId:
    return AggregateId(f"operations.{area}")
