import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cli.commands import magi
from tests.cli.serving import Serve
from tests.cli.top.terminals import OnTerminal

VOTED = ("submit", "--query", "q", "--answer", "Some words.", "--voters", "melchior")
SHOWN = b"""# TYPE magi_gateway_open_requests gauge
magi_gateway_open_requests 0
# TYPE magi_build_info gauge
magi_build_info{version="9.8.7"} 1
"""


class _Part(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(SHOWN)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def part(port: int = 0) -> Iterator[int]:
    """Something that shows the metrics of a gateway; gives its port."""
    with ThreadingHTTPServer(("127.0.0.1", port), _Part) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


def test_an_operator_watches_a_running_magi(serve: Serve) -> None:
    with OnTerminal("top", "--interval", "0.3", data=serve.data, size=(120, 40)) as top:
        # No voter by its name: other tests register some on this MAGI, more than a screen has lines.
        top.until_shown("NATS up", "Postgres up", "8/8 partitions owned", "votes/s", "projector")
        assert magi(*VOTED, data=serve.data).code in (0, 1)
        top.press(b"3")
        top.until_shown("by attention")
        top.press(b"?")
        top.until_shown("hold the screen still")
        top.press(b"\x1b")
        top.press(b"p")
        top.until_shown("PAUSED")
        top.press(b"p1")
        top.mark()
        top.resize(80, 24)
        top.until_shown("1-6")
        top.press(b"q")
        assert top.ended() == 0


def test_a_part_that_dies_and_comes_back_is_shown_so_and_ctrl_c_ends_it(nowhere: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        with part() as port:
            named = ("top", "--url", f"127.0.0.1:{port}", "--interval", "0.2")
            top = stack.enter_context(OnTerminal(*named, data=nowhere, size=(80, 24), folder=tmp_path))
            top.until_shown("9.8.7", "● gateway")
        top.mark()
        top.until_shown("✖ gateway down")
        with part(port):
            top.mark()
            top.until_shown("● gateway")
        top.press(b"w")
        top.until_shown("written: magi-top-")
        (picture,) = tmp_path.glob("magi-top-*.svg")
        assert "gateway" in picture.read_text()
        top.press(b"\x03")
        assert top.ended() == 0


def test_without_a_terminal_a_frame_is_printed(serve: Serve) -> None:
    printed = magi("top", "--interval", "0.2", data=serve.data)
    assert printed.code == 0, printed.stderr
    for text in ("NATS up", "Requests", "Latency", "melchior", "8/8 partitions owned", "gateway"):
        assert text in printed.stdout
    assert "\x1b" not in printed.stdout


def test_a_frame_is_data_for_programs_and_a_picture_for_notes(serve: Serve, tmp_path: Path) -> None:
    told = magi("top", "--once", "--json", "--interval", "0.2", data=serve.data)
    frame = json.loads(told.stdout)
    assert {"orchestrator", "gateway", "voters", "projector"} == {line["part"] for line in frame["parts"]}
    assert frame["header"]["nats"] == {"level": "good", "says": "up"}
    assert "melchior" in {line["name"] for line in frame["voters"]}
    picture = tmp_path / "top.svg"
    assert magi("top", "--svg", str(picture), "--interval", "0.2", data=serve.data).code == 0
    assert "melchior" in picture.read_text()


def test_frames_are_told_until_nobody_reads_them(nowhere: Path) -> None:
    from tests.cli.commands import program

    with part() as port:
        told = program("top", "--json", "--url", f"127.0.0.1:{port}", "--interval", "0.2", data=nowhere)
        assert told.stdout
        lines = [json.loads(told.stdout.readline()) for _ in range(3)]
        assert [line["parts"][0]["says"] for line in lines] == ["up"] * 3
        told.terminate()
        assert told.wait(30) == 0
        told.communicate()


def test_where_nothing_runs_once_says_so_and_fails(nowhere: Path) -> None:
    found = magi("top", "--once", data=nowhere)
    assert found.code == 2
    assert "magi serve" in found.stderr
    with part() as port:
        pass
    found = magi("top", "--once", "--url", f"127.0.0.1:{port}", "--interval", "0.2", data=nowhere)
    assert found.code == 2
    assert "connection refused" in found.stdout


@pytest.mark.parametrize("url", ["nonsense", "file:///etc/passwd", "127.0.0.1", "127.0.0.1:x", "a\x1b[2J:1"])
def test_an_address_that_is_none_is_refused(url: str, nowhere: Path) -> None:
    assert "expected HOST:PORT" in magi("top", "--url", url, data=nowhere).complaint


def test_a_size_that_is_none_is_refused(nowhere: Path) -> None:
    assert "COLUMNSxLINES" in magi("top", "--once", "--size", "big", data=nowhere).complaint
