"""The form of an export: what its lines hold, and its last one, which says what must be in the others."""

import base64
import binascii
from typing import Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from magi.eventstore.direct import StoredMessage

FORMAT = 2
KNOWN = (1, FORMAT)
"""In the first one each line holds one event."""


class NotAnExport(Exception):
    """A file that `magi export` didn't write, or a version that is not known here."""


class Header(Struct, frozen=True, kw_only=True):
    """The first line."""

    magi_export: int
    """The version of the form."""
    created_at: str
    selection: str
    """What was asked for, for people to read."""


class Line(Struct, frozen=True, kw_only=True):
    """A stored message, the bytes as they are."""

    stream: str
    seq: int
    subject: str
    event: Raw | UnsetType = UNSET
    events: Raw | UnsetType = UNSET
    """Instead of `event`, when the message holds several: their array."""
    base64: str | UnsetType = UNSET
    """Instead of either, for bytes that are no JSON on one line: then they are no event either."""


class Manifest(Struct, frozen=True, kw_only=True):
    """The last line, as ``{"manifest": {…}}``."""

    scope: Literal["whole", "selection"]
    """`whole`: the log from its first event; `selection`: whole histories of some requests."""
    requests: int
    events: int
    first_sequence: int
    last_sequence: int
    """0 when there are no events."""
    first_at: str
    last_at: str
    directory_events: int
    """Of the voters and initiators concerned, behind the events of the requests."""
    head: str
    """Of the events of the requests, as `magi audit verify` prints it."""
    sha256: str
    """Of every byte of the file before this line."""


class _Last(Struct, frozen=True):
    manifest: Manifest


_decode_header = msgspec.json.Decoder(Header).decode
_decode_line = msgspec.json.Decoder(Line).decode
_decode_last = msgspec.json.Decoder(_Last).decode
_BAD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def header_line(header: Header) -> bytes:
    return msgspec.json.encode(header) + b"\n"


def read_header(line: bytes) -> Header:
    """Raises NotAnExport."""
    try:
        header = _decode_header(line)
    except _BAD as error:
        raise NotAnExport("its first line is not that of an export of MAGI") from error
    if header.magi_export not in KNOWN:
        known = " and ".join(map(str, KNOWN))
        raise NotAnExport(f"version {header.magi_export} of an export; only {known} are known here")
    return header


def message_line(stream: str, message: StoredMessage) -> bytes:
    """The line of a stored message; its bytes stand in it unchanged."""
    line = Line(stream=stream, seq=message.sequence, subject=message.subject)
    if _is_one_json_line(message.data, b"{}"):
        line = msgspec.structs.replace(line, event=Raw(message.data))
    elif _is_one_json_line(message.data, b"[]"):
        line = msgspec.structs.replace(line, events=Raw(message.data))
    else:
        line = msgspec.structs.replace(line, base64=base64.b64encode(message.data).decode())
    return msgspec.json.encode(line) + b"\n"


def _is_one_json_line(data: bytes, ends: bytes) -> bool:
    if not data.startswith(ends[:1]) or not data.endswith(ends[1:]) or b"\n" in data or b"\r" in data:
        return False  # blanks around a value would get lost
    try:
        msgspec.json.decode(data)
    except _BAD:
        return False
    return True


def read_message(line: bytes) -> tuple[str, StoredMessage]:
    """The stream and the message of a line. Raises ValueError."""
    try:
        found = _decode_line(line)
        if isinstance(found.event, Raw):
            data = bytes(found.event)
        elif isinstance(found.events, Raw):
            data = bytes(found.events)
        elif isinstance(found.base64, str):
            data = base64.b64decode(found.base64, validate=True)
        else:
            raise ValueError("neither event nor events nor base64")
    except (*_BAD, binascii.Error) as error:
        raise ValueError(f"no message of an export: {error}") from error
    return found.stream, StoredMessage(found.seq, found.subject, data)


def manifest_line(manifest: Manifest) -> bytes:
    return msgspec.json.encode(_Last(manifest)) + b"\n"


def read_manifest(line: bytes) -> Manifest | None:
    """The manifest, when the line is one."""
    if not line.startswith(b'{"manifest":'):
        return None
    try:
        return _decode_last(line).manifest
    except _BAD:
        return None
