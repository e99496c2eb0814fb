from magi.cli.scrape import Target
from magi.cli.top.frame import Frame, Server, VoterLine
from magi.cli.top.recorder import Recorder
from magi.cli.top.scraped import Reading, read
from magi.cli.top.seen import Registered
from magi.domain.ids import VoterId
from magi.domain.voter import Voter
from magi.eventstore.presence import Instance
from tests.cli.top.given import GATEWAY, ORCHESTRATOR, histogram, reading, seen

THERE = {"magi_open_requests": 3.0, "magi_nats_connected": 1.0, 'magi_build_info{version="1.2.3"}': 1.0}
VERDICT = 'magi_verdicts_total{verdict="%s",decided_by="votes",strategy="majority"}'
DOWN = Reading(ORCHESTRATOR, 4.0, error="connection refused")


def voted(voter: str, vote: str = "pass") -> str:
    return f'magi_votes_total{{voter="{voter}",vote="{vote}",strategy="majority"}}'


def outcome(voter: str, what: str) -> str:
    return f'magi_voter_outcomes_total{{voter="{voter}",outcome="{what}"}}'


def active(*voters: str) -> dict[str, float]:
    return {f'magi_voter_active{{voter="{voter}"}}': 1.0 for voter in voters}


def frames(*samples: dict[str, float]) -> Frame:
    """The last frame of an orchestrator that was looked at every two seconds."""
    recorder = Recorder()
    for number, found in enumerate(samples):
        frame = recorder.observe(seen(2.0 * number, reading(2.0 * number, THERE | found)))
    return frame


def voter(name: str, status: str = "active", **more: object) -> Voter:
    return Voter(voter_id=VoterId(name), status=status, **more)  # type: ignore[arg-type]


def test_rates_and_shares_are_those_of_the_last_looks() -> None:
    frame = frames({VERDICT % "pass": 100, VERDICT % "fail": 900}, {VERDICT % "pass": 103, VERDICT % "fail": 901})
    assert frame.requests.decided == 2
    assert frame.requests.verdicts.recent
    assert frame.requests.verdicts.share("pass") == 0.75
    assert frame.header.versions == ("1.2.3",)


def test_without_anything_of_late_shares_are_those_since_the_start() -> None:
    frame = frames({VERDICT % "pass": 10}, {VERDICT % "pass": 10})
    assert not frame.requests.verdicts.recent
    assert frame.requests.verdicts.share("pass") == 1
    assert frame.requests.decided == 0


def test_of_a_part_that_is_down_nothing_is_claimed_and_the_rest_goes_on() -> None:
    recorder = Recorder()
    gateway = {'magi_gateway_connections{client="initiator"}': 7.0, "magi_nats_connected": 1.0}
    recorder.observe(seen(0, reading(0, THERE | {VERDICT % "pass": 1}), reading(0, gateway, GATEWAY)))
    recorder.observe(seen(2, reading(2, THERE | {VERDICT % "pass": 9}), reading(2, gateway, GATEWAY)))
    frame = recorder.observe(seen(4, DOWN, reading(4, gateway, GATEWAY)))
    assert frame.requests.received is None
    assert frame.requests.open is None
    assert frame.clients.initiators == 7
    assert [(part.part, part.level) for part in frame.parts] == [("orchestrator", "critical"), ("gateway", "good")]
    assert frame.parts[0].says == "down: connection refused"
    assert recorder.trends["received"][-1] is None


def test_a_part_that_came_back_is_counted_on() -> None:
    recorder = Recorder()
    recorder.observe(seen(0, reading(0, THERE | {VERDICT % "pass": 100})))
    recorder.observe(seen(4, DOWN))
    frame = recorder.observe(seen(8, reading(8, THERE | {VERDICT % "pass": 16}, started=2000)))
    assert frame.requests.decided == 2


def test_latencies_are_of_the_last_minute_and_a_trend_has_a_point_every_five_seconds() -> None:
    recorder = Recorder()
    slow = histogram("magi_request_duration_seconds", {"0.01": 0, "10.0": 0, "30.0": 50, "+Inf": 50})
    both = histogram("magi_request_duration_seconds", {"0.01": 50, "10.0": 50, "30.0": 100, "+Inf": 100})
    recorder.observe(seen(0, reading(0, THERE | slow)))
    frame = recorder.observe(seen(2, reading(2, THERE | both)))
    request = frame.latencies[0]
    assert request.recent
    assert request.p99 is not None
    assert request.p99 <= 0.01
    later = recorder.observe(seen(100, reading(100, THERE | both)))
    assert not later.latencies[0].recent
    first, last = recorder.trends["p99 request"]
    assert first == request.p99
    assert last is None


def lines(frame: Frame) -> dict[str, VoterLine]:
    return {line.name: line for line in frame.voters}


def test_what_needs_attention_comes_first() -> None:
    names = ("ada", "bob", "cid", "dan")
    first = active(*names) | {outcome(name, "voted"): 0.0 for name in names}
    then = first | {outcome(name, "voted"): 10.0 for name in names}
    then |= {outcome("cid", "missing"): 8.0, outcome("dan", "failed"): 5.0, 'magi_tasks_untaken{voter="bob"}': 101.0}
    frame = frames(first, then)
    assert [line.name for line in frame.voters] == ["cid", "bob", "dan", "ada"]
    assert [line.level for line in frame.voters] == ["critical", "warning", "warning", "good"]
    assert lines(frame)["cid"].why == "misses deadlines: 8 of 18"
    assert lines(frame)["cid"].missing == 8
    assert lines(frame)["dan"].failed == 5


def test_the_directory_adds_who_is_suspended_and_why_and_takes_away_who_is_revoked() -> None:
    registered = Registered(
        {
            "ada": voter("ada"),
            "bob": voter("bob", "suspended", reason="5 time-outs in a row", tried=True),
            "cid": voter("cid", "revoked"),
            "dan": voter("dan"),
        },
        [Instance("voter.ada", "1", capacity=8, in_flight=2), Instance("voter.ada", "2", capacity=8, in_flight=1)],
    )
    found = active("ada", "bob", "cid", "dan")
    frame = Recorder().observe(seen(0, reading(0, THERE | found), registered=registered))
    assert [line.name for line in frame.voters] == ["dan", "bob", "ada"]
    assert lines(frame)["bob"].why == "5 time-outs in a row; tried with probes"
    assert lines(frame)["dan"].why == "no instance is alive"
    ada = lines(frame)["ada"]
    assert (ada.instances, ada.in_flight, ada.capacity) == (2, 3, 16)


def test_without_nats_the_voters_are_those_that_the_orchestrator_knows() -> None:
    found = {'magi_voter_active{voter="ada"}': 1.0, 'magi_voter_active{voter="bob"}': 0.0}
    frame = Recorder().observe(seen(0, reading(0, THERE | found), nats=Server("critical", "down")))
    assert [(line.name, line.status, line.instances) for line in frame.voters] == [
        ("bob", "suspended", None),
        ("ada", "active", None),
    ]
    assert frame.header.nats.says == "down"


def test_a_vote_is_as_old_as_the_look_that_first_counted_it() -> None:
    recorder = Recorder()
    for number, votes in enumerate((5.0, 6.0, 6.0, 6.0)):
        found = active("ada", "bob") | {voted("ada"): votes, voted("bob"): 3.0}
        frame = recorder.observe(seen(2.0 * number, reading(2.0 * number, THERE | found)))
    assert lines(frame)["ada"].last_vote == 4
    assert lines(frame)["bob"].last_vote is None
    assert lines(frame)["bob"].ever


def test_nats_is_what_the_parts_say_of_it_when_it_says_nothing() -> None:
    def said(*connected: float) -> Server:
        readings = [
            reading(0, {"magi_nats_connected": value}, Target("gateway", f"127.0.0.1:{number}"))
            for number, value in enumerate(connected)
        ]
        return Recorder().observe(seen(0, *readings)).header.nats

    assert said(1, 1) == Server("good", "up")
    assert said(1, 0, 1) == Server("warning", "2 of 3 parts")
    assert said(0, 0).level == "critical"
    assert said().level == "unknown"


def test_partitions_have_the_owner_that_says_so() -> None:
    owned = {f'magi_inbox_partition_owned{{partition="{number}"}}': float(number != 10) for number in (0, 2, 10)}
    frame = Recorder().observe(seen(0, reading(0, THERE | owned), pids={"orchestrator": 4711}))
    assert [(p.number, p.owner) for p in frame.backlog.partitions] == [("0", "pid 4711"), ("2", "pid 4711"), ("10", "")]


def test_a_projection_that_nobody_moves_needs_attention() -> None:
    found = {
        'magi_projection_running{projection="requests"}': 1.0,
        'magi_projection_lag_messages{projection="requests"}': 12.0,
        'magi_projection_caught_up_timestamp_seconds{projection="requests"}': 9_000.0,
        'magi_projection_running{projection="voters"}': 0.0,
        'magi_projection_running{projection="other"}': 0.0,
        'magi_projection_halted{projection="other"}': 1.0,
    }
    frame = Recorder().observe(seen(0, reading(0, THERE | found)))
    projections = {p.name: (p.level, p.says) for p in frame.backlog.projections}
    assert projections == {
        "requests": ("warning", "running"),
        "voters": ("warning", "standing"),
        "other": ("critical", "halted"),
    }
    assert frame.backlog.projections[1].behind_seconds == 1000


def test_parts_that_ought_to_be_there_are_listed() -> None:
    frame = Recorder().observe(seen(0, reading(0, THERE), missing=("voters",)))
    assert [(part.part, part.says) for part in frame.parts] == [("orchestrator", "up"), ("voters", "not there")]


def test_nonsense_instead_of_metrics_is_a_part_that_is_down() -> None:
    for text in ("<html>", 'magi_x{le="1', "magi_x one\n", "up 1\n", ""):
        found = read(ORCHESTRATOR, 0.0, text)
        assert not found.up, text
    assert not Recorder().observe(seen(0, found)).voters


def test_a_part_that_was_named_by_its_address_is_known_by_its_metrics() -> None:
    text = "# TYPE magi_gateway_open_requests gauge\nmagi_gateway_open_requests 0\n"
    assert read(Target("", "127.0.0.1:1"), 0.0, text).target.part == "gateway"
