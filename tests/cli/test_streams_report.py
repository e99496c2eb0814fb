"""What `magi streams` finds and shows, on a real server."""

import io
import json

from msgspec.structs import replace
from nats.aio.client import Client
from rich.console import Console, RenderableType

from magi.cli.streams_report import run_apply, run_check, run_diff, show_applied, show_check, show_differences, to_json
from magi.eventstore.declarations import LOG, StreamDeclaration, find, load_declarations
from magi.eventstore.differences import Difference
from tests.servers import NatsServer

DECLARATIONS = load_declarations()


def shown(what: RenderableType, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


async def make_log(nc: Client, **changes: object) -> None:
    await run_apply(nc, [StreamDeclaration(LOG, replace(find(DECLARATIONS, LOG).config, **changes))])


async def test_diff_holds_the_streams_and_the_server(nc: Client, nats_server: NatsServer) -> None:
    await run_apply(nc, DECLARATIONS)
    await make_log(nc, compression="s2")
    found = await run_diff(nc, DECLARATIONS, nats_server.monitor_url, "always")
    assert found == [
        Difference(LOG, "compression", "none", "s2", weaker=True),
        Difference("nats-server", "sync_interval", "always", "2m", weaker=True),
    ]


async def test_check_holds_only_what_is_weaker(nc: Client) -> None:
    await run_apply(nc, DECLARATIONS)
    await make_log(nc, description="", allow_direct=False)
    assert [d.field for d in await run_check(nc, DECLARATIONS, "", "any")] == ["allow_direct"]


def test_differences_are_a_table_with_the_values_in_full() -> None:
    rows = [
        Difference(LOG, "subjects", "magi.log.*.*", "[bold]", weaker=True),
        Difference(LOG, "max_msg_size", "1MiB", "unlimited", weaker=False),
    ]
    text = shown(show_differences(rows))
    header, first, second = (line.split() for line in text.splitlines() if "stream" in line or LOG in line)
    assert [word for word in header if word.isalpha()] == ["stream", "field", "declared", "live", "weaker"]
    assert [word for word in first if word != "│"] == [LOG, "subjects", "magi.log.*.*", "[bold]", "yes"]
    assert [word for word in second if word != "│"] == [LOG, "max_msg_size", "1MiB", "unlimited", "no"]
    narrow = shown(show_differences(rows), width=40)
    assert "…" not in narrow


def test_nothing_to_show_is_said() -> None:
    assert "as declared" in shown(show_differences([]))
    assert "promise" in shown(show_check([]))


def test_a_failed_check_says_what_to_do() -> None:
    assert "magi streams apply" in shown(show_check([Difference(LOG, "storage", "file", "memory", weaker=True)]))


async def test_apply_shows_what_it_changed(nc: Client) -> None:
    await make_log(nc, compression="s2")
    text = shown(show_applied(await run_apply(nc, DECLARATIONS)))
    assert "MAGI_LOG updated\n  compression: s2 → none\n" in text
    assert "MAGI_INBOX created\n" in text
    assert "MAGI_LOG unchanged" in shown(show_applied(await run_apply(nc, DECLARATIONS)))


async def test_json_has_the_same_rows(nc: Client) -> None:
    missing = await run_diff(nc, [find(DECLARATIONS, LOG)], "", "any")
    assert json.loads(to_json(missing)) == [
        {"stream": LOG, "field": "stream", "declared": "present", "live": "missing", "weaker": True}
    ]
    applied = json.loads(to_json(await run_apply(nc, [find(DECLARATIONS, LOG)])))
    assert [(row["stream"], row["action"]) for row in applied] == [(LOG, "created")]
