import pytest

from magi.cli.checks_copies import Cluster, Placed, Replica, _Config, judge_copies


def placed(copies: int, *replicas: Replica) -> Placed:
    return Placed(Cluster("magi", "n1", replicas), _Config(copies))


FOLLOWERS = (Replica("n2"), Replica("n3"))


def test_one_server_has_one_copy_whatever_it_does() -> None:
    (finding,) = judge_copies({"MAGI_LOG": Placed(Cluster(), _Config(1))})
    assert (finding.status, "one copy of everything" in finding.found) == ("warning", True)


@pytest.mark.parametrize(("copies", "status"), [(1, "error"), (2, "warning"), (3, "ok")])
def test_fewer_copies_than_three_of_a_cluster_are_told(copies: int, status: str) -> None:
    (finding,) = judge_copies({"MAGI_LOG": placed(copies, *FOLLOWERS[: copies - 1])})
    assert finding.status == status


@pytest.mark.parametrize(
    ("replica", "said"),
    [
        (Replica("n3", offline=True, current=False), "n3 is offline"),
        (Replica("n3", current=False, lag=7), "n3 lacks 7"),
        (Replica("n3", lag=5_000), "n3 lacks 5000"),
    ],
)
def test_a_copy_that_does_not_follow_is_told(replica: Replica, said: str) -> None:
    (finding,) = judge_copies({"MAGI_LOG": placed(3, Replica("n2"), replica)})
    assert (finding.status, said in finding.found) == ("warning", True)


def test_streams_that_are_missing_are_told_elsewhere() -> None:
    assert judge_copies({}) == []
