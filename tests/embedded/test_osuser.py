import os
import pwd
import tempfile
from pathlib import Path

import pytest

from magi.embedded.osuser import CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, unprivileged_user, with_access
from magi.embedded.process import Identity

STRANGER = Identity(uid=54321, gid=54321, name="stranger")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")


@pytest.mark.skipif(os.geteuid() == 0, reason="for an ordinary user")
def test_an_ordinary_user_stays_who_it_is() -> None:
    assert unprivileged_user(None) is None


@as_root
def test_root_becomes_a_user_that_the_system_knows() -> None:
    user = unprivileged_user(None)
    assert user is not None
    assert pwd.getpwnam(user.name).pw_uid == user.uid != 0


@as_root
def test_root_becomes_whoever_owns_the_data() -> None:
    user = unprivileged_user(STRANGER.uid)
    assert user is not None
    assert user.uid == STRANGER.uid


@as_root
@pytest.mark.parametrize(
    ("parent", "program", "capability"),
    [(0o755, 0o755, -1), (0o700, 0o755, CAP_DAC_READ_SEARCH), (0o755, 0o700, CAP_DAC_OVERRIDE)],
)
def test_no_more_power_is_kept_than_the_way_there_takes(parent: int, program: int, capability: int) -> None:
    with tempfile.TemporaryDirectory() as name:  # not tmp_path, which lies below a directory of 0700
        top = Path(name)
        top.chmod(0o755)
        (top / "parent" / "below").mkdir(parents=True)
        (top / "parent").chmod(parent)
        (top / "program").touch()
        (top / "program").chmod(program)
        assert with_access(STRANGER, [top / "parent" / "below"], [top / "program"]).capability == capability
