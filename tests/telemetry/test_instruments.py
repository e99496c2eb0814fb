"""`magi.telemetry.instruments`: what is counted where."""

from magi.telemetry.declarations import VOTER_SECONDS
from magi.telemetry.instruments import Histogram, Histograms


def test_an_observation_falls_into_the_first_bucket_that_it_does_not_exceed() -> None:
    histogram = Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 1.0, 7.0):
        histogram.observe(value)
    assert histogram.counts == [2, 2, 1]
    assert histogram.total == 8.65


def test_each_label_value_has_a_histogram_of_its_own() -> None:
    voters = Histograms(VOTER_SECONDS)
    voters["melchior"].observe(0.2)
    voters["melchior"].observe(0.2)
    voters["casper"].observe(2.0)
    assert {voter: sum(histogram.counts) for voter, histogram in voters.items()} == {"melchior": 2, "casper": 1}
    assert voters["casper"].bounds == VOTER_SECONDS.buckets
