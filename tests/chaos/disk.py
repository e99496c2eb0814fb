"""A disk that can lose its power: a file system on a loop device, of which a power cut leaves what was synced.

ext4's shutdown (`FS_IOC_SHUTDOWN` without a flush of the journal, with which xfstests cuts the power) drops every page
and every transaction that has not reached the device. Mounted again it recovers as after a power cut. Needs root, a
loop device, and `mkfs.ext4`.
"""

import fcntl
import os
import shutil
import struct
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

_SHUTDOWN = 0x8004587D
"""_IOR('X', 125, __u32)"""
_NO_LOG_FLUSH = 2
_MEMORY = Path("/dev/shm")
"""Where the device's bytes are, if it exists: its syncs then wait for no disk that others write to."""
_SIZE = 4 * 1024**3
"""Bytes; sparse: only what is written takes room."""


def missing() -> str:
    """Why there can be no such disk here; empty when there can."""
    if os.geteuid() != 0:
        return "needs root, to mount a file system"
    for program in ("mkfs.ext4", "mount", "umount"):
        if shutil.which(program) is None:
            return f"needs {program}"
    if not Path("/dev/loop-control").exists():
        return "needs loop devices"
    return ""


class Disk:
    """Mounted at `path` while it is entered. Raises subprocess.CalledProcessError when it can't be."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "disk"
        self._image = (_MEMORY if _MEMORY.is_dir() else directory) / f"{directory.name}.img"

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True)
        with self._image.open("wb") as image:
            image.truncate(_SIZE)
        try:
            _run("mkfs.ext4", "-q", str(self._image))
            self._mount()
        except BaseException:
            self._image.unlink()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _run("umount", str(self.path))
        self._image.unlink()

    @property
    def free(self) -> float:
        """The share of it that is free."""
        return shutil.disk_usage(self.path).free / _SIZE

    def sync(self) -> None:
        """All that is written is on the device."""
        _run("sync", "--file-system", str(self.path))

    def cut(self) -> None:
        """The power is gone: nothing is written any more, not even what the kernel still had."""
        found = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(found, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(found)

    def back(self) -> None:
        """The power is back. Whoever had files open on it must be gone."""
        _run("umount", str(self.path))
        self._mount()

    def _mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self.path))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
