"""Streams that were there and are not: never made anew by mistake, since that would be the end of them.

nats-server with another encryption key than before, or with none, starts as if nothing were wrong: the streams are just
missing. Whoever creates one then is refused ("error creating store for stream", 10049), and the server deletes the
files of the old one on its way out (seen with 2.15.1: each try takes another stream). So two things are asked before a
stream is created: is it remembered, and are files of it where the server stores?
"""

import contextlib
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
import structlog
from msgspec import Struct
from nats.aio.client import Client
from nats.errors import Error as NatsError

from magi.cli.http_get import CannotGet, get
from magi.embedded.files import write_atomically
from magi.eventstore import subjects
from magi.eventstore.streams import StreamsError

log = structlog.get_logger(__name__)

KEPT: Final = (subjects.LOG, subjects.DIRECTORY, subjects.INBOX, subjects.TASKS)
FILE: Final = "streams.json"
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class StreamsLost(StreamsError):
    """Streams that existed are missing; they were not made anew."""


class Files(Struct, frozen=True):
    """What is left of a stream that the server doesn't have."""

    folder: str
    encrypted: bool


class _Info(Struct, frozen=True):
    created: str = ""


class _Config(Struct, frozen=True):
    store_dir: str = ""


class _Jsz(Struct, frozen=True):
    config: _Config = _Config()


def remembered(data: Path, url: str) -> dict[str, str]:
    """When each stream at `url` was created, RFC 3339, as far as this data directory has seen them."""
    return _all_remembered(data).get(_place(url), {})


def _all_remembered(data: Path) -> dict[str, dict[str, str]]:
    return {_place(url): times for url, times in _as_written(data).items()}


def _as_written(data: Path) -> dict[str, dict[str, str]]:
    """With passwords in the URLs, as they were written once."""
    try:
        return msgspec.json.decode((data / FILE).read_bytes(), type=dict[str, dict[str, str]])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _place(url: str) -> str:
    """A server's URL, or several with commas between them, without the user and password that may be in it."""
    servers = (one.strip() for one in url.split(","))
    return ",".join(f"{one.partition('://')[0]}://{one.rpartition('@')[2]}" if "@" in one else one for one in servers)


async def created(nc: Client) -> dict[str, str]:
    """When each stream that is there was created, RFC 3339."""
    found = {}
    for stream in KEPT:
        try:
            answer = await nc.request(f"$JS.API.STREAM.INFO.{stream}", b"", timeout=5.0)
            info = msgspec.json.decode(answer.data, type=_Info)
        except (NatsError, TimeoutError, msgspec.DecodeError, UnicodeDecodeError):
            continue  # not known now is not forgotten
        if info.created:
            found[stream] = info.created
    return found


async def remember(data: Path, url: str, nc: Client, made: Collection[str] = ()) -> None:
    """Note what is there, where there is a data directory. `made` are the streams that were just created on purpose.

    Of any other that was made anew the old time is kept: `magi doctor` goes by it. Raises OSError.
    """
    before = _all_remembered(data)
    known = before.get(_place(url), {})
    now = dict(known)
    for stream, at in (await created(nc)).items():
        was = known.get(stream, at)
        if was == at or stream in made:
            now[stream] = at
        else:
            log.error("stream_made_anew", stream=stream, before=was, now=at)
    after = {**before, _place(url): now}
    if after != _as_written(data):
        with contextlib.suppress(FileNotFoundError):
            write_atomically(data / FILE, msgspec.json.encode(after))


async def store_dir(monitor_url: str) -> Path | None:
    """Where nats-server stores, if it says so and is on this machine."""
    if not monitor_url or urlsplit(monitor_url).hostname not in _LOOPBACK:
        return None
    try:
        _, body = await get(f"{monitor_url.rstrip('/')}/jsz")
        folder = msgspec.json.decode(body, type=_Jsz).config.store_dir
    except (CannotGet, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return Path(folder) if folder else None


def files_of(stored: Path | None, missing: Iterable[str]) -> dict[str, Files]:
    """By stream: what lies in the folder of a server for streams that it doesn't have."""
    found = {}
    for stream in missing:
        try:
            folders = sorted(stored.glob(f"*/streams/{stream}")) if stored else []
        except OSError:  # the server runs as another user
            folders = []
        for folder in folders:
            if _holds_something(folder):
                found[stream] = Files(str(folder), os.path.exists(folder / "meta.key"))
    return found


def _holds_something(folder: Path) -> bool:
    """Whether a stream was there, and not only begun to be made when nats-server was killed.

    Blocks are empty until the first message; a stream that was emptied leaves a mark in one (seen with 2.15.1). An
    encrypted stream that is whole counts even without messages: nats-server has the wrong key. `meta.sum` is the last
    file that is written when a stream is made.
    """
    try:
        if {"meta.key", "meta.sum"} <= set(os.listdir(folder)):
            return True
        with os.scandir(folder / "msgs") as files:  # unlike `glob` it tells of a folder that may not be read
            return any(file.name.endswith(".blk") and file.stat().st_size > 0 for file in files)
    except FileNotFoundError:
        return False
    except OSError:  # not ours to read: to be on the safe side
        return True


async def refuse_lost(data: Path, url: str, monitor_url: str, missing: Iterable[str]) -> None:
    """Raises StreamsLost when a stream in `missing`, which is about to be created, must have been there before."""
    wanted = [stream for stream in missing if stream in KEPT]
    if not wanted:
        return
    left = files_of(await store_dir(monitor_url), wanted)
    known = {stream: at for stream, at in remembered(data, url).items() if stream in wanted}
    if not left and not known:
        return
    raise StreamsLost(
        f"{explained(left, known)}. Nothing was created: nats-server deletes what is left of a stream that is created "
        f"while it can't read it. {mend(left)}; if they are gone for good and on purpose, remove {data / FILE} and the "
        "folders, and start again"
    )


def explained(left: Mapping[str, Files], known: Mapping[str, str]) -> str:
    """What is known of streams that are missing."""
    said = [f"{stream} is missing, and its files are in {files.folder}" for stream, files in left.items()]
    said += [
        f"{stream} is missing, and was there before (created {at})"
        for stream, at in known.items()
        if stream not in left
    ]
    return "; ".join(said)


def mend(left: Mapping[str, Files]) -> str:
    """What to do about it."""
    if any(files.encrypted for files in left.values()):
        return (
            "Its files are encrypted: give nats-server the `key` and `cipher` in its jetstream block that it had, and "
            "restart it (its log says `Error decrypting our stream metafile`)"
        )
    if left:
        return "nats-server could not read them: its log says why at its start; restore them from a backup"
    return (
        "Is nats.url the right server, and are `store_dir` and the encryption `key` in its jetstream block what they "
        "were? Its log says what it could not read"
    )
