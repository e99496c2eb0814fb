"""What is used here, and what others say is used of them."""

from magi.domain.ids import InitiatorId
from magi.gateway.rate import Bucket
from magi.gateway.usage import CHUNK, NOTHING, SILENT, Account, Peers, Report, Use, reports

AGENT, OTHER = InitiatorId("agent"), InitiatorId("other")
SOME = Use(5.0, 2, 1)


def test_a_report_replaces_what_was_said_before_and_a_part_of_one_only_what_it_names() -> None:
    peers = Peers()
    assert peers.hear(Report("a", {AGENT: SOME, OTHER: SOME}))
    assert not peers.hear(Report("a", {AGENT: NOTHING}, whole=False))
    assert (peers.uses(AGENT), peers.uses(OTHER)) == ([NOTHING], [SOME])
    peers.hear(Report("a", {AGENT: SOME}))
    assert (peers.uses(AGENT), peers.uses(OTHER)) == ([SOME], [NOTHING])


def test_gateways_are_added_up_and_one_that_leaves_is_forgotten_at_once() -> None:
    peers = Peers()
    peers.hear(Report("a", {AGENT: SOME}))
    peers.hear(Report("b", {}))
    assert (len(peers), peers.uses(AGENT)) == (2, [SOME, NOTHING])
    assert not peers.hear(Report("a", {}, leaves=True))
    assert (len(peers), peers.uses(AGENT)) == (1, [NOTHING])


def test_one_of_which_nothing_comes_is_forgotten_after_some_heartbeats() -> None:
    peers = Peers()
    peers.hear(Report("a", {AGENT: SOME}))
    for _ in range(SILENT):
        peers.beat()
    assert peers.uses(AGENT) == [SOME]
    peers.hear(Report("a", {}, whole=False))
    for _ in range(SILENT):
        peers.beat()
    assert peers.uses(AGENT) == [SOME]
    peers.beat()
    assert len(peers) == 0
    assert peers.hear(Report("a", {AGENT: SOME})), "it is new, and has to be told of us"


def test_what_is_asked_is_that_of_the_busier_of_two_heartbeats() -> None:
    account = Account()
    for asked, expected in ((10, 20.0), (0, 20.0), (0, 0.0)):
        for _ in range(asked):
            account.ask()
        account.beat(0.5)
        assert account.use.asked == expected


def _idle(account: Account) -> bool:
    """A call: a type checker takes a property to stay what it was asserted to be."""
    return account.idle


def test_an_account_is_idle_when_nothing_of_it_has_to_be_remembered() -> None:
    now = 1000.0
    account = Account()
    assert _idle(account)
    account.bucket = Bucket(1, 1, lambda: now)
    account.bucket.take()
    assert not _idle(account), "or another one would have a burst of its own"
    now += 1
    assert _idle(account)
    account.connections = 1
    assert not _idle(account)
    account.connections = 0
    account.ask()
    assert not _idle(account)


def test_what_is_told_fits_into_messages() -> None:
    many = [(InitiatorId(f"i{number}"), SOME) for number in range(CHUNK + 1)]
    found = list(reports("a", [(AGENT, NOTHING), *many]))
    assert [(len(report.uses), report.whole) for report in found] == [(CHUNK, True), (1, False)]
    peers = Peers()
    for report in found:
        peers.hear(report)
    assert all(peers.uses(name) == [SOME] for name, _ in many)
    assert [(report.uses, report.whole) for report in reports("a", [])] == [({}, True)]
