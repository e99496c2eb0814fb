"""Becomes another program that ends when MAGI does: run as a script, `python -I -S launch.py …`, never imported.

    launch.py PARENT SIGNAL UID GID CAPABILITY -- PROGRAM ARGUMENT…

PARENT is the process id of MAGI; SIGNAL what the kernel sends to the program when PARENT dies, even by SIGKILL (Linux;
elsewhere the next start finds what was left). UID and GID (-1: stay who we are) are whom the program runs as, and
CAPABILITY (-1: none) the one Linux capability that it keeps of root's.

Why a program of its own, and not `preexec_fn` or setpriv: code between fork and exec deadlocks in a process with
threads, and takes the cheap vfork away; setpriv is not on every Linux, and never on a Mac. The price is 15 ms a start.
The signal belongs to the parent *thread* that forked: MAGI's event loop, which outlives its servers.
"""

import contextlib
import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_SET_SECUREBITS = 28
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAPABILITY_VERSION_3 = 0x20080522
_CANNOT_RUN = 126  # as a shell says it


class _CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _CapabilitySet(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def main(arguments: list[str]) -> None:
    parent, death_signal, uid, gid, capability = (int(text) for text in arguments[:5])
    program = arguments[6:]
    os.umask(0o077)
    if uid >= 0:
        _become(uid, gid, capability)
    if sys.platform == "linux":  # after _become: a change of user clears it
        _prctl(_PR_SET_PDEATHSIG, death_signal)
    if os.getppid() != parent:
        return  # MAGI died before that took effect
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, which exec would hand on
        signal.signal(number, signal.SIG_DFL)
    os.execv(program[0], program)  # noqa: S606 - the whole purpose


def _become(uid: int, gid: int, capability: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    if capability >= 0:
        _prctl(_PR_SET_KEEPCAPS, 1)
        # access(2) looks at the bare user alone, unless capabilities outlive setuid altogether; PostgreSQL asks it
        # whether its own programs can be run, which often lie below /root. Needs a capability of its own to be set.
        with contextlib.suppress(OSError):
            _prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP)
    os.setuid(uid)
    if capability >= 0:
        _keep_only(capability)


def _keep_only(capability: int) -> None:
    """Drop all capabilities but one, and let that one pass through exec ("ambient") to the program's children too."""
    sets = (_CapabilitySet * 2)()
    kept = sets[capability // 32]
    kept.effective = kept.permitted = kept.inheritable = 1 << (capability % 32)
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    if ctypes.CDLL(None, use_errno=True).capset(ctypes.byref(header), sets) != 0:
        raise OSError(ctypes.get_errno(), "capset: " + os.strerror(ctypes.get_errno()))
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)


def _prctl(option: int, *arguments: int) -> None:
    padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    if ctypes.CDLL(None, use_errno=True).prctl(ctypes.c_int(option), *padded) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}: " + os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # SIGINT of a dying parent, before there was a program to get it
        try:
            main(sys.argv[1:])
        except OSError as error:
            sys.stderr.write(f"can't run {sys.argv[7]}: {error}\n")
            sys.exit(_CANNOT_RUN)
