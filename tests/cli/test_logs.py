"""The logs of a running MAGI at `debug`: what `telemetry.steps` declares, as often as it must be, and nobody's words.

One system, one story: requests that go well and wrong, voters that behave and don't, an operator at work."""

import contextlib
import json
import secrets
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from magi.telemetry.steps import FLOW, STEPS
from tests.again import Shared
from tests.cli.commands import magi
from tests.cli.serving import Serve

MARKER = "MARKER" + secrets.token_hex(4)
"""In everything that may not be in a log."""
HOSTILE = 'x"}\\r{"event":"forged"} \u202e\u2028 y'
"""A request id: control characters are refused, the rest of Unicode isn't."""
PARTS = ("gateway", "orchestrator", "voters", "projector")

Line = dict[str, Any]


class Story:
    """What was done, and the lines that it left."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        added = magi("voters", "add", "ada", "--kind", "websocket", "--group", "tests", data=serve.data)
        assert added.code == 0, added.stderr
        self.secrets = [added.last_word, serve.token]
        for name in ("gateway", "orchestrator", "operator"):
            self.secrets.append((serve.data / "keys" / f"{name}.seed").read_text().strip())
        with self._connect("/v1/voter", added.last_word) as ada, self._connect("/", serve.token) as initiator:
            _send(ada, type="ready", capacity=4)
            self._goes_well(initiator, ada)
            self._goes_wrong(initiator, ada)
        for token in (f"magi_i_{MARKER}", MARKER):
            with pytest.raises(InvalidStatus):
                self._connect("/", token)
        magi("voters", "suspend", "ada", "--reason", "seen enough", data=serve.data)
        magi("voters", "revoke", "nobody", "--reason", "not there", data=serve.data)
        magi("streams", "apply", data=serve.data)
        self.actions = magi("audit", "log", "--json", data=serve.data).lines

    def _connect(self, path: str, token: str) -> ClientConnection:
        headers = {"Authorization": f"Bearer {token}"}
        return connect(self._serve.url.rstrip("/") + path, additional_headers=headers, open_timeout=30)

    def _goes_well(self, initiator: ClientConnection, ada: ClientConnection) -> None:
        _submit(initiator, "good", traceparent=f"00-{'a' * 32}-{'1' * 16}-01")
        _vote(ada)
        _until(initiator, "final_result")
        _submit(initiator, HOSTILE)
        _vote(ada)
        _until(initiator, "final_result")

    def _goes_wrong(self, initiator: ClientConnection, ada: ClientConnection) -> None:
        _submit(initiator, "refused", voter_list=["nobody"])
        _until(initiator, "error")
        _submit(initiator, "malformed", decide=MARKER)
        _until(initiator, "error")
        _submit(initiator, "unknown-strategy", strategy={"name": "threshold", "k": MARKER})
        _until(initiator, "error")
        for frame in (MARKER, json.dumps({"type": MARKER}), json.dumps({"type": "authenticate", "token": MARKER})):
            initiator.send(frame)
            _until(initiator, "error")
        for ballot in (
            {"type": "result", "task_id": MARKER, "vote": "pass"},
            {"type": "result", "task_id": "x", "vote": MARKER, "reason": MARKER},
            {"type": MARKER},
        ):
            _send(ada, **ballot)
            _until(ada, "error")

    def read(self) -> list[Line]:
        """All lines, once everything has stopped."""
        files = [self._serve.data / "logs" / f"{part}.log" for part in PARTS]
        files.append(self._serve.data.with_name(self._serve.data.name + ".err"))
        self.text = "".join(file.read_text() for file in files)
        return [json.loads(line) for line in self.text.split("\n") if line]


def _send(connection: ClientConnection, **message: Any) -> None:
    connection.send(json.dumps(message))


def _submit(connection: ClientConnection, request_id: str, **more: Any) -> None:
    content = {"user_query": f"{MARKER}?", "agent_answer": MARKER, "metadata": {MARKER: MARKER}}
    fields = {"voter_list": ["melchior", "ada"], "timeout_ms": 60_000, **content, **more}
    _send(connection, type="request", request_id=request_id, **fields)


def _until(connection: ClientConnection, kind: str) -> Line:
    while True:
        message: Line = json.loads(connection.recv(timeout=60))
        if message["type"] == kind:
            return message


def _vote(connection: ClientConnection) -> None:
    task = _until(connection, "task")["task_id"]
    _send(connection, type="progress", task_id=task)
    _send(connection, type="result", task_id=task, vote="fail", reason=MARKER)
    while _until(connection, "accepted")["kind"] != "result":
        pass


@contextlib.contextmanager
def told(data: Path) -> Iterator[tuple[Story, list[Line]]]:
    with Serve(data, MAGI_LOG_LEVEL="info", MAGI_LOG_PARTS=",".join(f"{p}=debug" for p in PARTS)) as serve:
        story = Story(serve)
    yield story, story.read()


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared[tuple[Story, list[Line]]]]:
    with Shared(lambda: told(tmp_path_factory.mktemp("logs") / "data")) as shared:
        yield shared


@pytest.fixture
def story(stories: Shared[tuple[Story, list[Line]]], request: pytest.FixtureRequest) -> tuple[Story, list[Line]]:
    return stories.of(request)


def test_one_request_leaves_each_line_as_often_as_it_must(story: tuple[Story, list[Line]]) -> None:
    lines = [line for line in story[1] if line.get("request_id") == "good"]
    requests = {line.get("request") for line in lines}
    assert len(requests) == 1
    found = Counter(line["event"] for line in lines)
    voters = 2
    times = {"request": 1, "vote": voters, "event": 2 + 2 * voters, "refusal": 0, "failure": 0}
    assert found == {step.name: times[step.each] for step in FLOW if times[step.each]}
    assert len({line["trace_id"] for line in lines}) == 1
    taken = {line["part"]: line["voter_id"] for line in lines if line["event"] == "task_taken"}
    assert taken == {"voters": "melchior", "gateway": "ada"}


def test_every_declared_line_has_its_level_its_part_and_its_fields(story: tuple[Story, list[Line]]) -> None:
    declared = {step.name: step for step in STEPS}
    known = [line for line in story[1] if line["event"] in declared]
    for line in known:
        step = declared[line["event"]]
        fields = {"trace_id" if name == "trace" else name for name in step.fields}
        assert (line["level"], line["part"] in step.parts) == (step.level, True), line
        assert set(line) <= fields | {"timestamp", "level", "event", "part"}, line
    seen = {line["event"] for line in known}
    assert seen == set(declared) - {"ballot_refused", "cannot_judge"}  # which the tests of these parts see


def test_nobodys_words_and_no_secret_are_in_it(story: tuple[Story, list[Line]]) -> None:
    told, lines = story
    assert MARKER not in told.text
    assert not [secret for secret in told.secrets if secret in told.text]
    assert "forged" not in {line["event"] for line in lines}
    assert {line["request_id"] for line in lines if "forged" in line.get("request_id", "")} == {HOSTILE}
    assert "\u202e" not in told.text


def test_what_was_refused_is_told_by_its_code(story: tuple[Story, list[Line]]) -> None:
    refused = [(line["event"], line.get("request_id"), line["code"]) for line in story[1] if "code" in line]
    for expected in (
        ("submission_refused", "refused", "unknown_voter"),
        ("submission_refused", "malformed", "invalid_message"),
        ("submission_refused", "unknown-strategy", "unknown_strategy"),
        ("message_refused", None, "invalid_json"),
        ("message_refused", None, "unsupported_type"),
        ("message_refused", None, "unauthorized"),
        ("message_refused", None, "unknown_task"),
    ):
        assert refused.count(expected) >= 1, expected
    assert {(line["status"], line["why"]) for line in story[1] if line["event"] == "connection_refused"} == {
        (401, "token")
    }


def test_each_part_says_what_it_has_taken_over(story: tuple[Story, list[Line]]) -> None:
    suspended = [line for line in story[1] if line.get("change") == "voter_suspended"]
    assert {line["part"] for line in suspended} >= {"gateway", "orchestrator", "voters"}
    assert {(line["about"], line["why"]) for line in suspended} == {("voter.ada", "seen enough")}


def test_the_operators_log_has_who_did_what(story: tuple[Story, list[Line]]) -> None:
    actions = [json.loads(line) for line in story[0].actions]
    assert [action["sequence"] for action in actions] == list(range(1, len(actions) + 1))
    told = [(a["about"], a["change"], a["outcome"], a["automatic"]) for a in actions]
    assert told[0] == ("voter.melchior", "voter_registered", "done", True)
    assert told[-2:] == [
        ("voter.ada", "voter_suspended", "done", False),
        ("operations.refused", "operator_acted", "refused", False),
    ]
    assert actions[-1]["what"] == "voters revoke: no voter named 'nobody' is registered"
    assert "@" in actions[-1]["by"]
