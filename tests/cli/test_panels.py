import json

import pytest

from magi.cli.panels import parse_panel
from magi.domain.errors import InvalidMessage
from magi.domain.slots import NamedVoter, SomeOf
from tests.cli.commands import magi
from tests.cli.serving import Serve


def panel(serve: Serve, name: str) -> dict[str, object]:
    card: dict[str, object] = json.loads(magi("panels", "show", name, "--json", data=serve.data).stdout)
    return card


def test_a_panel_may_be_written_in_one() -> None:
    name, slots = parse_panel(" code : melchior, 2 of llm")
    assert (name, [type(slot) for slot in slots]) == ("code", [NamedVoter, SomeOf])
    for text, complaint in (("code", "NAME: MEMBER"), ("C: a", "panel: expected"), ("c: a, a", "there twice")):
        with pytest.raises(InvalidMessage, match=complaint):
            parse_panel(text)


def test_a_panel_is_defined_listed_shown_and_removed(serve: Serve) -> None:
    told = magi("panels", "set", "pan-a: melchior, 1 of nobody", "--description", "for tests", data=serve.data)
    assert (told.code, told.stdout) == (0, "Panel pan-a is melchior, 1 of nobody.\n")
    again = magi("panels", "set", "pan-a", "melchior,1 of nobody", data=serve.data)
    assert again.stdout == "Panel pan-a is melchior, 1 of nobody, as it was.\n"
    assert magi("panels", "set", "pan-a", "melchior", "--reason", "fewer", data=serve.data).code == 0
    card = panel(serve, "pan-a")
    assert (card["members"], card["now"], card["description"]) == (["melchior"], ["melchior"], "for tests")
    assert [line for line in magi("panels", "list", data=serve.data).lines if line.startswith("pan-a ")]
    assert "fewer" in magi("panels", "show", "pan-a", data=serve.data).stdout
    assert magi("panels", "remove", "pan-a", data=serve.data).stdout == "Panel pan-a is removed.\n"
    assert magi("panels", "remove", "pan-a", data=serve.data).stdout == "Panel pan-a is removed already.\n"
    assert "pan-a" not in magi("panels", "list", data=serve.data).stdout
    assert len(panel(serve, "pan-a")["history"]) == 3  # type: ignore[arg-type]


def test_a_member_that_is_not_registered_yet_is_told(serve: Serve) -> None:
    told = magi("panels", "set", "pan-early", "melchior, pan-later, pan-latest", data=serve.data).stdout
    assert "pan-later, pan-latest are not registered yet" in told
    assert "2 are needed" in str(panel(serve, "pan-early")["problem"])


def test_what_can_be_no_panel_is_refused(serve: Serve) -> None:
    refused = magi("panels", "set", "pan-bad", "a, 0 of llm", data=serve.data)
    assert (refused.code, "'0 of llm': expected a number" in refused.stderr) == (2, True)
    for command in ("show", "remove"):
        unknown = magi("panels", command, "pan-none", data=serve.data)
        assert (unknown.code, unknown.stderr) == (2, "magi: no panel is named 'pan-none'\n")


@pytest.mark.usefixtures("process_voters")
def test_a_request_is_judged_by_the_panel_that_it_asks_for(serve: Serve) -> None:
    magi("panels", "set", "pan-yes", "yes, pan-nobody, melchior", data=serve.data)
    submit = ("submit", "--query", "q", "--answer", "a", "--json")
    told = magi(*submit, "--panel", "pan-yes", data=serve.data)
    assert json.loads(told.lines[0])["voters"] == ["yes", "melchior"]
    unknown = magi(*submit, "--panel", "pan-none", data=serve.data)
    assert unknown.code == 2
    assert json.loads(unknown.lines[-1])["code"] == "invalid_message"
    both = magi(*submit, "--panel", "pan-yes", "--voters", "yes", data=serve.data)
    assert "either --voters or --panel" in both.complaint
