"""`magi serve --panel`, and the panel of requests that ask for none."""

import json
from pathlib import Path

from tests.cli.commands import magi
from tests.cli.serving import Serve


def test_a_panel_is_defined_at_the_start_and_may_be_the_default(tmp_path: Path) -> None:
    serve = Serve(tmp_path / "data", MAGI_VOTERS_BUILTIN="melchior,casper", MAGI_ORCHESTRATOR_DEFAULT_PANEL="one")
    serve.start("--port", "0", "--panel", "one: casper", "--panel", "two: casper, 1 of default")
    try:
        told = magi("submit", "--query", "q", "--answer", "a", "--json", data=serve.data)
        assert json.loads(told.lines[0])["voters"] == ["casper"]
        told = magi("submit", "--query", "q", "--answer", "a", "--json", "--panel", "two", data=serve.data)
        assert json.loads(told.lines[0])["voters"] == ["casper", "melchior"]
        listed = json.loads(
            magi("panels", "list", "--json", data=serve.data, MAGI_ORCHESTRATOR_DEFAULT_PANEL="one").stdout
        )
        assert [(row["panel_id"], row["default"]) for row in listed] == [("one", True), ("two", False)]
    finally:
        serve.end()


def test_a_panel_that_can_be_none_is_refused_before_anything_is_started(nowhere: Path) -> None:
    refused = magi("serve", "--panel", "one: casper, casper", data=nowhere)
    assert (refused.code, refused.stderr) == (2, "magi: members: the voter 'casper' is there twice\n")
    assert not nowhere.exists()
