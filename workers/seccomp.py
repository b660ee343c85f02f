"""Which system calls a sandboxed child may not make: a small filter for Linux, by seccomp.

It forbids rather than allows: a list of what MuPDF, numpy and three versions of Python may call
would fail documents for no reason on the next version of any of them. What it takes away is what no
processor has a use for: other processes, sockets, kernel interfaces that are known for their holes,
and the changes of files that Landlock leaves open (modes, owners, times, shared memory).
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from dataclasses import dataclass

CLONE_THREAD = 0x00010000
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
ALLOW = 0x7FFF0000
KILL = 0x80000000
ERRNO = 0x00050000
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_BITS, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER_AT, ARCHITECTURE_AT, FIRST_ARGUMENT_AT = 0, 4, 16
X32_BIT = 0x40000000

# The same numbers on both: pidfd_send_signal, io_uring (3), the new mount calls (6), pidfd_open,
# pidfd_getfd, mount_setattr, fchmodat2
_NEWER = (424, 425, 426, 427, 428, 429, 430, 431, 432, 433, 434, 438, 442, 452)
CLONE3 = 435


@dataclass(frozen=True, slots=True, kw_only=True)
class _Architecture:
    """The numbers of the system calls that matter, and the number of the architecture itself.

    signals: allowed to this process only. clone: allowed for threads only.
    """

    audit: int
    clone: int
    signals: tuple[int, int]
    prlimit: int
    forbidden: tuple[int, ...]


ARCHITECTURES = {
    "x86_64": _Architecture(
        audit=0xC000003E,
        clone=56,
        signals=(62, 234),  # kill tgkill
        prlimit=302,
        forbidden=(
            *(41, 42, 43, 49, 50, 53, 288),  # socket connect accept bind listen socketpair accept4
            *(57, 58, 59, 322),  # fork vfork execve execveat
            *(101, 310, 311, 200, 129, 297),  # ptrace process_vm_* tkill *sigqueueinfo
            *(272, 308, 155, 161, 165, 166),  # unshare setns pivot_root chroot mount umount
            *(175, 313, 176, 246, 320),  # modules, kexec
            *(248, 249, 250, 298, 321, 323),  # keys perf_event_open bpf userfaultfd
            *(303, 304),  # file handles
            *(90, 91, 268, 92, 93, 94, 260),  # chmod and chown
            *(132, 235, 261, 280, 188, 189, 190, 197, 198, 199),  # times, attributes
            *(29, 64, 68, 240),  # shmget semget msgget mq_open
            *_NEWER,
        ),
    ),
    "aarch64": _Architecture(
        audit=0xC00000B7,
        clone=220,
        signals=(129, 131),
        prlimit=261,
        forbidden=(
            *(198, 203, 202, 200, 201, 199, 242),
            *(221, 281),
            *(117, 270, 271, 130, 138, 240),
            *(97, 268, 41, 51, 40, 39),
            *(105, 273, 106, 104, 294),
            *(217, 218, 219, 241, 280, 282),
            *(264, 265),
            *(52, 53, 55, 54),
            *(88, 5, 6, 7, 14, 15, 16),
            *(194, 190, 186, 180),
            *_NEWER,
        ),
    ),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def forbid_system_calls(libc: ctypes.CDLL) -> None:
    """Install the filter in this process, for good; it needs `no_new_privs`.

    Raises:
        OSError: not on this system.
    """
    architecture = ARCHITECTURES.get(platform.machine())
    if sys.platform != "linux" or architecture is None:
        raise OSError(errno.ENOSYS, "no filter for this system")
    instructions = b"".join(_instructions(architecture, pid=os.getpid()))
    program = _Program(len(instructions) // 8, instructions)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


def _instructions(architecture: _Architecture, *, pid: int) -> list[bytes]:
    refuse = _step(RETURN, ERRNO | errno.EPERM)
    allow = _step(RETURN, ALLOW)
    first_argument = _step(LOAD, FIRST_ARGUMENT_AT)
    program = [
        _step(LOAD, ARCHITECTURE_AT),
        _step(JUMP_EQUAL, architecture.audit, yes=1),
        _step(RETURN, KILL),
        _step(LOAD, NUMBER_AT),
        _step(JUMP_AT_LEAST, X32_BIT, no=1),
        refuse,
        # The C library tries clone next, whose flags a filter can see.
        _step(JUMP_EQUAL, CLONE3, no=1),
        _step(RETURN, ERRNO | errno.ENOSYS),
    ]
    for number in architecture.forbidden:
        program += [_step(JUMP_EQUAL, number, no=1), refuse]
    for number in architecture.signals:
        own = [first_argument, _step(JUMP_EQUAL, pid, yes=1), refuse, allow]
        program += [_step(JUMP_EQUAL, number, no=len(own)), *own]
    own = [first_argument, _step(JUMP_EQUAL, 0, yes=1), refuse, allow]
    program += [_step(JUMP_EQUAL, architecture.prlimit, no=len(own)), *own]
    thread = [first_argument, _step(JUMP_BITS, CLONE_THREAD, yes=1), refuse, allow]
    program += [_step(JUMP_EQUAL, architecture.clone, no=len(thread)), *thread]
    return [*program, allow]


def _step(code: int, operand: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, operand)
