"""Notices: what the orchestrator tells Initiators and voters that is no event, on core NATS. They may be lost."""

import msgspec
from msgspec import Struct


class Refusal(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="error"):
    """A refusal on its way to whoever asked (PROTOCOL §1 and §2)."""

    code: str
    message: str
    request_id: str | None = None
    task_id: str | None = None
    digest: str = ""
    """Of the submission that is refused: another one of the same name may be under way."""
    retryable: bool = False


class Existing(Struct, frozen=True, tag_field="type", tag="existing"):
    """A request was submitted again: its events are in the log already."""

    request_id: str
    digest: str


Notice = Refusal | Existing
decode_notice = msgspec.json.Decoder(Notice).decode
