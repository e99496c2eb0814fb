"""What counts as a stream that was there, and what is remembered of one."""

import json
from pathlib import Path

import pytest
from nats.aio.client import Client
from structlog.testing import capture_logs

from magi.cli.lost_streams import FILE, files_of, remember, remembered
from magi.eventstore.declarations import load_declarations
from magi.eventstore.streams import apply
from tests.servers import NatsServer

BEGUN = ("meta.inf", "msgs/1.blk")


@pytest.mark.parametrize(
    ("files", "counts"),
    [
        ({}, False),
        (dict.fromkeys(BEGUN, ""), False),
        ({"meta.inf": "{}", "meta.sum": "1", "msgs/1.blk": "", "msgs/index.db": "x"}, False),
        ({"msgs/1.blk": "", "msgs/2.blk": "x"}, True),
        ({"meta.key": "x", "meta.inf": "x"}, False),
        ({"meta.key": "x", "meta.inf": "x", "meta.sum": "1", "msgs/1.blk": ""}, True),
    ],
)
def test_a_stream_that_was_only_begun_is_none(tmp_path: Path, files: dict[str, str], counts: bool) -> None:
    folder = tmp_path / "$G" / "streams" / "MAGI_LOG"
    (folder / "msgs").mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_text(content)
    assert list(files_of(tmp_path, ["MAGI_LOG", "MAGI_INBOX"])) == ["MAGI_LOG"] * counts


async def test_a_stream_that_was_made_anew_is_told_and_not_remembered(
    nats_server: NatsServer, nc: Client, tmp_path: Path
) -> None:
    await apply(nc, load_declarations())
    url = nats_server.url
    await remember(tmp_path, url, nc)
    now, old = remembered(tmp_path, url), "2026-01-01T00:00:00Z"
    assert set(now) == {"MAGI_LOG", "MAGI_DIRECTORY", "MAGI_INBOX", "MAGI_TASKS"}
    (tmp_path / FILE).write_text(json.dumps({url: {"MAGI_LOG": old, "MAGI_INBOX": now["MAGI_INBOX"]}}))
    with capture_logs() as lines:
        await remember(tmp_path, url, nc)
    assert [(line["event"], line["stream"], line["log_level"]) for line in lines] == [
        ("stream_made_anew", "MAGI_LOG", "error")
    ]
    assert remembered(tmp_path, url) == {**now, "MAGI_LOG": old}
    with capture_logs() as lines:
        await remember(tmp_path, url, nc, made={"MAGI_LOG"})
    assert not lines
    assert remembered(tmp_path, url) == now


async def test_no_password_is_written_down_and_one_that_was_is_removed(
    nats_server: NatsServer, nc: Client, tmp_path: Path
) -> None:
    await apply(nc, load_declarations())
    bare = nats_server.url
    secret = bare.replace("//", "//magi:s3cret@")
    await remember(tmp_path, secret, nc)
    now = remembered(tmp_path, secret)
    assert now
    assert remembered(tmp_path, bare) == now
    (tmp_path / FILE).write_text(json.dumps({f"{secret},{secret}": now, secret: now}))  # by a version before
    assert remembered(tmp_path, secret) == now
    await remember(tmp_path, secret, nc)
    assert json.loads((tmp_path / FILE).read_text()) == {f"{bare},{bare}": now, bare: now}
