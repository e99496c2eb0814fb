"""What a program may do that runs as another user with one capability: reach its own files below a closed directory."""

import os
import pwd
import signal
from pathlib import Path

import pytest

from magi.embedded.osuser import CAP_DAC_READ_SEARCH
from magi.embedded.process import Command, Identity, run


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a program as somebody else")
@pytest.mark.parametrize(("capability", "exit_code"), [(CAP_DAC_READ_SEARCH, 0), (-1, 1)])
async def test_a_program_below_a_closed_directory_can_be_run_with_the_capability(
    tmp_path: Path, capability: int, exit_code: int
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    program = closed / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    nobody = pwd.getpwnam("nobody")
    identity = Identity(uid=nobody.pw_uid, gid=nobody.pw_gid, name="nobody", capability=capability)
    # `test -x` asks access(2), as PostgreSQL's initdb does for the postgres beside it.
    command = Command(
        argv=("/usr/bin/test", "-x", str(program)), cwd=Path("/"), dies_by=signal.SIGTERM, identity=identity
    )
    code, _ = await run(command)
    assert code == exit_code
