from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magi.cli.scrape import Target
from magi.cli.top.frame import AlertLine, Frame, Server
from magi.cli.top.keys import keys
from magi.cli.top.picture import as_svg
from magi.cli.top.recorder import Recorder
from magi.cli.top.scraped import Reading
from magi.cli.top.screen import draw, natural_height
from magi.cli.top.spark import spark
from magi.cli.top.view import VIEWS, View, pressed
from magi.cli.top.words import count, per_second, percent, seconds
from tests.cli.top.given import ORCHESTRATOR, histogram, reading, seen

EVIL = "\x1b[31mred\x1b]0;title\x07\x9b2J\u202e\r\n"
SIZES = [(40, 8), (60, 20), (80, 24), (109, 30), (110, 24), (120, 40), (200, 50), (300, 100)]


def recorded(voters: int = 3, alerts: int = 0) -> tuple[Frame, Recorder]:
    """A frame with a little of everything, and names that nobody should be shown as they are."""
    recorder = Recorder()
    names = [f"voter_{number}" for number in range(voters)] + [EVIL]
    for number in range(40):
        samples = {
            "magi_open_requests": 3.0,
            "magi_nats_connected": 1.0,
            'magi_submissions_total{outcome="received"}': number * 24.0,
            'magi_projection_running{projection="requests"}': 1.0,
            'magi_stream_messages{stream="MAGI_LOG"}': 12_345_678.0,
            "magi_jetstream_storage_bytes": 5e9,
            'magi_inbox_partition_owned{partition="0"}': 1.0,
        }
        samples |= histogram("magi_request_overhead_seconds", {"0.01": 10.0 * number, "+Inf": 10.0 * number})
        found = reading(2.0 * number, samples)
        extra = {("magi_voter_active", (("voter", name),)): 1.0 for name in names}
        extra |= {("magi_verdicts_total", (("decided_by", EVIL), ("verdict", EVIL))): 5.0 * number}
        extra |= {("magi_build_info", (("version", EVIL),)): 1.0}
        found = msgspec.structs.replace(found, samples={**found.samples, **extra})
        down = Reading(Target("gateway", "127.0.0.1:1"), 2.0 * number, error=f"refused {EVIL}")
        firing = tuple(
            AlertLine(f"MagiTest{n}", "firing" if n % 2 else "pending", "critical", 65.0, {"of": EVIL}, f"why {EVIL}")
            for n in range(alerts)
        )
        frame = recorder.observe(
            seen(2.0 * number, found, down, alerts=firing, nats=Server("critical", "down"), problem=f"trouble {EVIL}")
        )
    return frame, recorder


FRAME, RECORDER = recorded(voters=30, alerts=12)


def plain(view: View, width: int, height: int, frame: Frame = FRAME) -> list[str]:
    return [line.plain for line in draw(frame, RECORDER.trends, view, width, height)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", [*VIEWS, "help"])
def test_every_view_fills_every_screen_and_no_line_is_too_wide(name: str, size: tuple[int, int]) -> None:
    view = View(helps=True) if name == "help" else View(name=name)
    lines = draw(FRAME, RECORDER.trends, view, *size)
    assert len(lines) == size[1]
    assert max(line.cell_len for line in lines) <= size[0]
    assert "MAGI" in lines[0].plain
    assert "quit" in lines[-1].plain


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", VIEWS)
def test_nothing_that_is_shown_steers_the_terminal(name: str, size: tuple[int, int]) -> None:
    shown = "".join(plain(View(name=name), *size))
    assert not set(shown) & set("\x1b\x07\x9b\u202e\r\n")


def test_on_the_smallest_usual_terminal_there_is_something_of_everything() -> None:
    frame, recorder = recorded()
    shown = "\n".join(line.plain for line in draw(frame, recorder.trends, View(), 80, 24))
    for word in ("no alert fires yet", "NATS down", "Requests", "12/s", "Latency", "own share", "voter_2", "gateway"):
        assert word in shown, word


def test_it_is_green_without_alerts_only_while_nothing_is_down() -> None:
    good = reading(0, {"magi_nats_connected": 1.0})
    down = Reading(Target("gateway", "127.0.0.1:1"), 0, error="refused")
    for view in (View(), View(name="alerts")):
        for size in SIZES[2:]:
            for readings, words in (((good,), "● no alerts"), ((good, down), "○ no alert fires yet")):
                frame = Recorder().observe(seen(0, *readings))
                assert words in "\n".join(plain(view, *size, frame=frame))


def test_what_is_more_than_fits_is_counted() -> None:
    shown = "\n".join(plain(View(name="voters"), 80, 24))
    assert "… 13 more" in shown
    assert "more alerts (6 shows all)" in "\n".join(plain(View(), 80, 24))
    assert "1 above" in "\n".join(plain(View(name="voters", first=1), 80, 24))
    assert "MagiTest11" in "\n".join(plain(View(name="alerts"), 80, 24))


def test_a_printed_frame_has_room_for_all_voters() -> None:
    for width in (80, 120):
        shown = "\n".join(plain(View(), width, natural_height(FRAME, width)))
        assert all(f"voter_{number} " in shown for number in range(30))


def test_a_terminal_that_is_too_small_is_told_so() -> None:
    assert plain(View(), 12, 3) == ["too small f…", "", ""]


def test_a_paused_screen_says_so() -> None:
    assert "PAUSED" in plain(View(paused=True), 80, 24)[0]


def test_keys_change_the_view() -> None:
    view = View()
    for key, expected in (
        ("3", View(name="voters")),
        ("s", View(name="voters", order="name")),
        ("down", View(name="voters", order="name", first=1)),
        ("pagedown", View(name="voters", order="name", first=11)),
        ("up", View(name="voters", order="name", first=10)),
        ("tab", View(name="backlog", order="name")),
        ("left", View(name="voters", order="name")),
        ("p", View(name="voters", order="name", paused=True)),
        ("?", View(name="voters", order="name", paused=True, helps=True)),
        ("x", View(name="voters", order="name", paused=True)),
        ("x", View(name="voters", order="name", paused=True)),
        ("escape", View(order="name", paused=True)),
    ):
        view = pressed(view, key, 10)
        assert view == expected, key


def test_a_terminals_bytes_become_keys() -> None:
    assert keys(b"q\x1b[A\x1b[Z\t?\x1bOB\x1b[6~\x1b[999~\x00\xff") == [
        *("q", "up", "backtab", "tab", "?", "down", "pagedown"),
    ]
    assert keys(b"\x1b") == ["escape"]


@given(st.binary(max_size=50))
def test_no_bytes_break_the_keys(data: bytes) -> None:
    assert all(key.isprintable() for key in keys(data))


def test_a_sparkline_goes_from_nought_to_the_greatest() -> None:
    assert spark([0, 1, 4, 8, None], 7).plain == "  ▁▂▄█·"
    assert spark([1, 2, 3], 2).plain == "▆█"
    assert spark([0, 0], 2).plain == "▁▁"
    assert spark([1], 0).plain == ""


def test_figures_are_short() -> None:
    assert [count(v) for v in (None, 0, 9999, 12_345, 345_678, 1.2e6, 5e9)] == [
        *("–", "0", "9,999", "12.3k", "346k", "1.2M", "5.0G"),
    ]
    assert [per_second(v) for v in (0, 0.001, 0.05, 3.42, 412.3)] == ["0/s", "<0.01/s", "0.05/s", "3.4/s", "412/s"]
    assert [seconds(v) for v in (0, 0.0004, 0.012, 0.9996, 9.96, 125, 90_000, float("inf"))] == [
        *("0 ms", "0.4 ms", "12 ms", "1.0 s", "9 s", "2m05s", "1d01h", "–"),
    ]
    assert [percent(v) for v in (0, 0.001, 0.5, 0.999, 1)] == ["0 %", "<1 %", "50 %", ">99 %", "100 %"]


def test_a_picture_is_an_svg_that_loads_nothing(tmp_path: Path) -> None:
    text = as_svg(draw(FRAME, RECORDER.trends, View(), 120, 40), 120, EVIL)
    ElementTree.fromstring(text)
    assert "url(http" not in text
    assert "href" not in text
    assert "voter_1" in text


def test_the_view_of_nothing_says_what_it_waits_for() -> None:
    found = Recorder().observe(seen(0, Reading(ORCHESTRATOR, 0, error="connection refused"), problem="no MAGI runs"))
    for size in SIZES:
        for name in VIEWS:
            assert "no MAGI runs" in plain(View(name=name), *size, frame=found)[1]
