"""`magi submit` against a MAGI that runs: what it prints, what it exits with, and what can't keep it from either."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from typing import Any

import pytest
from websockets.sync.client import connect

from magi.voters import Opinion, Task
from tests.cli.commands import magi, program
from tests.cli.conftest import Voters
from tests.cli.serving import Serve, environment
from tests.waiting import until

ASK = ("submit", "--query", "What is 6 times 7?", "--answer", "42")

pytestmark = pytest.mark.usefixtures("process_voters")


def stored(serve: Serve, request_id: str) -> list[str]:
    """The events of a request as the gateway replays them."""
    with connect(serve.url, additional_headers={"Authorization": f"Bearer {serve.token}"}) as ws:
        ws.send(json.dumps({"type": "resume", "request_id": request_id}))
        frames: list[str] = []
        while not frames or json.loads(frames[-1])["type"] != "resumed":
            frames.append(str(ws.recv(timeout=30)))
        return frames[:-1]


def test_a_pass_exits_0_and_is_told_line_by_line(serve: Serve) -> None:
    result = magi(*ASK, "--voters", "yes", "--request-id", "line by line", data=serve.data)
    assert (result.code, result.stderr) == (0, "")
    assert [line.split() for line in result.lines] == [
        ["received", "request", "line", "by", "line,", "judged", "by", "yes"],
        ["yes", "processing"],
        ["yes", "pass", "(0.90)", "as", "good", "as", "any"],
        ["verdict", "pass", "1", "pass;", "minority_rule:", "majority,", "decided", "by", "votes"],
    ]


def test_a_fail_exits_1(serve: Serve) -> None:
    result = magi(*ASK, "--voters", "yes,no", data=serve.data)
    assert result.code == 1
    assert "fail  1 pass, 1 fail; minority_rule: tie" in result.lines[-1]


def test_an_error_exits_2_and_is_told_on_stderr(serve: Serve) -> None:
    result = magi(*ASK, "--voters", "nobody", data=serve.data)
    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == "magi: unknown_voter: no voter named 'nobody' is registered\n"


def test_as_json_events_are_printed_as_they_are_stored(serve: Serve) -> None:
    result = magi(*ASK, "--voters", "yes,no,rude", "--request-id", "as json", "--json", data=serve.data)
    assert result.code == 0
    assert result.lines == stored(serve, "as json")


def test_as_json_an_error_is_printed_too(serve: Serve) -> None:
    result = magi(*ASK, "--voters", "nobody", "--json", data=serve.data)
    assert result.code == 2
    assert json.loads(result.stdout)["code"] == "unknown_voter"


def test_options_reach_the_request(serve: Serve) -> None:
    options = ("--voters", "yes,no", "--strategy", "threshold:k=1", "--early", "--metadata", '{"model":"m"}')
    result = magi(*ASK, *options, "--timeout-ms", "20000", "--json", data=serve.data)
    verdict = json.loads(result.lines[-1])
    assert result.code == 0
    assert (verdict["strategy"], verdict["parameters"]) == ("threshold", {"k": 1})


def test_without_voters_a_panel_is_chosen(serve: Serve) -> None:
    result = magi(*ASK, "--json", data=serve.data)
    assert json.loads(result.lines[0])["voters"] == ["melchior"]


def test_submitting_it_again_tells_the_same_again(serve: Serve) -> None:
    results = [magi(*ASK, "--voters", "yes", "--request-id", "twice", "--json", data=serve.data) for _ in range(2)]
    assert results[0] == results[1]
    other = magi("submit", "--query", "q", "--answer", "a", "--request-id", "twice", data=serve.data)
    assert other.code == 2
    assert "request_conflict" in other.stderr


def test_an_answer_is_read_from_standard_input_byte_for_byte(serve: Serve) -> None:
    answer = "zwölf\r\n\n  \tend\n"
    options = ("--query", "q", "--answer-file", "-", "--voters", "yes", "--request-id", "stdin")
    assert magi("submit", *options, data=serve.data, stdin=answer.encode()).code == 0
    same = ("--query", "q", "--answer", answer, "--voters", "yes", "--request-id", "stdin")
    assert magi("submit", *same, data=serve.data).code == 0  # other content would be a conflict


def test_what_a_voter_says_steers_no_terminal(serve: Serve) -> None:
    result = magi(*ASK, "--voters", "rude", data=serve.data, FORCE_COLOR="1", NO_COLOR="")
    assert len(result.lines) == 4
    assert r"\x1b[2J\x9b31mfirst line\nsecond\u202e line" in result.lines[2]
    assert not {"\x9b", "\u202e", "\x1b[2J"} & {
        result.stdout[i : i + n] for n in (1, 4) for i in range(len(result.stdout))
    }


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--query", "q"), "--answer"),
        (("--query", "q", "--answer", "a", "--answer-file", "x"), "--answer"),
        (("--query", "q", "--answer-file", "/no/such/file"), "No such file"),
        (("--query-file", "-", "--answer-file", "-"), "standard input"),
        (("--query", "q", "--answer", "a", "--strategy", "threshold:k"), "--strategy"),
        (("--query", "q", "--answer", "a", "--metadata", "[1]"), "--metadata"),
        (("--query", "q", "--answer", "a", "--voters", ","), "--voters"),
        (("--query", "q", "--answer", "a", "--request-id", ""), "request_id"),
        (("--query", "q", "--answer", "a", "--timeout-ms", "0"), "--timeout-ms"),
    ],
)
def test_what_can_not_be_sent_exits_2_and_names_the_option(serve: Serve, options: tuple[str, ...], says: str) -> None:
    result = magi("submit", *options, data=serve.data)
    assert (result.code, result.stdout) == (2, "")
    assert says in result.complaint


def test_bytes_that_are_no_text_are_refused(serve: Serve) -> None:
    result = magi("submit", "--query", "q", "--answer-file", "-", data=serve.data, stdin=b"\xff\xfe")
    assert result.code == 2
    assert "UTF-8" in result.complaint


def test_too_large_an_answer_is_an_error(serve: Serve) -> None:
    result = magi("submit", "--query", "q", "--answer-file", "-", data=serve.data, stdin=b"x" * 300_000)
    assert result.code == 2
    assert "too_large" in result.stderr


def test_a_token_of_ones_own_is_taken_from_the_environment(serve: Serve) -> None:
    token = magi("initiators", "add", "ci", data=serve.data).last_word
    own = magi(*ASK, "--voters", "yes", "--request-id", "own", "--json", data=serve.data, MAGI_TOKEN=token)
    local = magi(*ASK, "--voters", "no", "--request-id", "own", "--json", data=serve.data)
    assert (own.code, local.code) == (0, 1)  # the same name, of two Initiators


def test_a_gateway_elsewhere_needs_no_data_directory(serve: Serve, nowhere: Any) -> None:
    result = magi(*ASK, "--voters", "yes", data=nowhere, MAGI_URL=serve.url, MAGI_TOKEN=serve.token)
    assert result.code == 0


def test_the_local_token_is_not_shown_to_others(serve: Serve) -> None:
    result = magi(*ASK, "--url", "ws://127.0.0.1:1", data=serve.data)
    assert result.code == 2
    assert "wants a token" in result.stderr


def test_a_wrong_token_is_an_error_at_once(serve: Serve) -> None:
    result = magi(*ASK, "--token", "magi_i_wrong", data=serve.data)
    assert result.code == 2
    assert "unauthorized" in result.stderr


def test_where_nothing_runs_it_says_what_to_start(nowhere: Any) -> None:
    result = magi(*ASK, data=nowhere)
    assert (result.code, result.stdout) == (2, "")
    assert "magi serve" in result.stderr


@pytest.mark.usefixtures("seeds")
def test_ctrl_c_exits_130_after_what_came_was_printed(serve: Serve) -> None:
    process = program(*ASK, "--voters", "voter_1", "--timeout-ms", "8000", data=serve.data)
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"received")  # at once, though it is a pipe
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.startswith(b"magi: interrupted; request ")
    assert b"Traceback" not in errors


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_reader_that_leaves_does_not_change_the_verdict(serve: Serve, form: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = program(*ASK, "--voters", "yes", *form, data=serve.data)
    os.close(writer)
    assert process.stdout is not None
    process.stdout.close()
    errors = process.stderr.read() if process.stderr else b""
    assert process.wait(30) == 0
    assert errors == b""


async def test_it_goes_on_after_the_gateway_was_killed(serve: Serve, voters: Voters) -> None:
    resumed = asyncio.Event()

    async def judge(task: Task) -> Opinion:
        await resumed.wait()
        return Opinion.passes()

    await voters.start("voter_1", judge)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "magi", *ASK, "--voters", "voter_1", "--request-id", "survivor", "--json"),
        env=environment(MAGI_DATA=str(serve.data)),
        stdout=PIPE,
        stderr=PIPE,
    )
    assert process.stdout
    assert process.stderr
    first = [await process.stdout.readline() for _ in range(2)]
    gateway = serve.pid_of("gateway")
    os.kill(gateway, signal.SIGKILL)
    assert b"connecting again" in await asyncio.wait_for(process.stderr.readline(), 30)

    async def another() -> bool:
        return serve.pid_of("gateway") != gateway

    await until(another, "another gateway", 30)
    resumed.set()
    rest, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, errors
    assert b"".join(first).decode() + rest.decode() == "\n".join(
        [*await asyncio.to_thread(stored, serve, "survivor"), ""]
    )
