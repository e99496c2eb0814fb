"""The settings of alerts: those of the rules, and where all of them go. The orchestrators post voters' alerts there."""

from typing import Annotated

from msgspec import Meta, Struct


class AlertSettings(Struct, frozen=True, forbid_unknown_fields=True):
    webhook_url: str = ""
    """Where alerts are posted as well; empty: nowhere."""
    webhook_secret_file: str = ""
    """The file with the secret that they are signed with (`whsec_…`); empty: they are not signed."""
    enabled: bool = True
    """Whether `magi serve` evaluates the rules itself, as is of use without Prometheus."""
    rules: str = ""
    """A file with rules of one's own, instead of MAGI's."""
    every_seconds: Annotated[float, Meta(ge=1, le=60)] = 15.0
    """Between two scrapes of all parts, each followed by an evaluation."""
    repeat_seconds: Annotated[float, Meta(ge=0, le=604_800)] = 14_400.0
    """What fires on is posted again so often; 0: never."""
