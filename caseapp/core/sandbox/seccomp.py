"""A seccomp filter: which system calls a worker may not make, whatever user it runs as.

Landlock covers files; this covers the rest: a worker can't connect, can't start a program or a process, can't reach
into another process or change who may use a file. A refused call fails with EPERM, so that it shows as an ordinary
error.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""The architecture's number in the filter's input, and its column below."""
REFUSED: dict[str, tuple[int | None, int | None]] = {
    # Connect, be reached, or send a descriptor.
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
    # Start a program or a process.
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    # Reach into another process.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "kcmp": (312, 272),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    # Change who may use a file, or what it holds, by its path: Landlock leaves these out or has them only lately.
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "truncate": (76, 45),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    # Read the kernel's key rings.
    "add_key": (248, 217),
    "keyctl": (250, 219),
    "request_key": (249, 218),
    # Go round this filter, or get new rights.
    "bpf": (321, 280),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "setns": (308, 268),
    "unshare": (272, 97),
}
CLONE, CLONE3, KILL = (56, 220), (435, 435), (62, 129)
TGKILL, PRCTL, PRLIMIT, UTIMENSAT = (234, 131), (157, 167), (302, 261), (280, 88)
CLONE_THREAD = 0x10000
X32_BIT = 0x40000000
SET_MODE_FILTER = 1
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
SECCOMP = (317, 277)

# Instructions of the classic Berkeley packet filter, from linux/bpf_common.h and linux/seccomp.h.
LOAD, RETURN = 0x20, 0x06
EQUALS, AT_LEAST, HAS_BITS = 0x15, 0x35, 0x45
ALLOW, KILL_PROCESS, FAIL_WITH = 0x7FFF0000, 0x80000000, 0x00050000
NUMBER_OFFSET, MACHINE_OFFSET, ARGUMENTS_OFFSET = 0, 4, 16


def is_supported() -> bool:
    """Return whether this machine has a table here and a kernel with seccomp filters."""
    return platform.machine() in MACHINES and os.path.exists("/proc/sys/kernel/seccomp")  # noqa: PTH110


def restrict() -> None:
    """Refuse these calls to this process, its threads included; `no_new_privs` must be set.

    Raises OSError when the kernel refuses.
    """
    program = b"".join(struct.pack("=HBBI", *line) for line in _build(os.getpid()))
    buffer = ctypes.create_string_buffer(program)
    header = struct.pack("=HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    column = MACHINES[platform.machine()][1]
    if libc.syscall(SECCOMP[column], SET_MODE_FILTER, 0, header) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _build(own_pid: int) -> list[tuple[int, int, int, int]]:
    """Return the filter as instructions: code, jump if true, jump if false, value."""
    machine, column = MACHINES[platform.machine()]
    refuse = (RETURN, 0, 0, FAIL_WITH | errno.EPERM)
    allow = (RETURN, 0, 0, ALLOW)
    lines = [
        (LOAD, 0, 0, MACHINE_OFFSET),
        (EQUALS, 1, 0, machine),
        (RETURN, 0, 0, KILL_PROCESS),
        (LOAD, 0, 0, NUMBER_OFFSET),
        # The second set of numbers that an x86-64 kernel may know.
        (AT_LEAST, 0, 1, X32_BIT),
        refuse,
    ]
    for refused in REFUSED.values():
        number = refused[column]
        if number is not None:
            lines += [(EQUALS, 0, 1, number), refuse]
    # The C library then uses `clone`, whose flags can be read here.
    lines += [(EQUALS, 0, 1, CLONE3[column]), (RETURN, 0, 0, FAIL_WITH | errno.ENOSYS)]

    def when(number: int, *checks: tuple[int, int, int, int]) -> None:
        lines.extend(((EQUALS, 0, len(checks), number), *checks))

    def argument(index: int) -> tuple[int, int, int, int]:
        return (LOAD, 0, 0, ARGUMENTS_OFFSET + 8 * index)

    when(CLONE[column], argument(0), (HAS_BITS, 1, 0, CLONE_THREAD), refuse, allow)
    for numbers in (KILL, TGKILL):
        # A process may end itself.
        when(numbers[column], argument(0), (EQUALS, 1, 0, own_pid), refuse, allow)
    when(PRLIMIT[column], argument(0), (EQUALS, 1, 0, 0), refuse, allow)
    when(PRCTL[column], argument(0), (EQUALS, 0, 1, PR_SET_PDEATHSIG), refuse, allow)
    # Only of an open file, as gunicorn does for its heartbeat: then the path is a null pointer.
    upper = (LOAD, 0, 0, ARGUMENTS_OFFSET + 8 + 4)
    when(
        UTIMENSAT[column],
        argument(1),
        (EQUALS, 0, 2, 0),
        upper,
        (EQUALS, 1, 0, 0),
        refuse,
        allow,
    )
    return [*lines, allow]
