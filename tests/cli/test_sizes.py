import pytest

from magi.cli.sizes import rough_size


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (100 * 2**20, "100 MiB"),
        (84_181_925_888, "78.4 GiB"),
        (5000 * 2**40, "5000 TiB"),
    ],
)
def test_a_size_has_at_most_three_digits_that_matter(size: int, text: str) -> None:
    assert rough_size(size) == text
