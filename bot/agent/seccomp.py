"""The system calls that a sandboxed command may not make, as a filter program of the kernel's.

<https://docs.kernel.org/userspace-api/seccomp_filter.html>. Everything else is allowed: the
namespaces are the wall, and this list takes away what has broken such walls before.
"""

import errno
import platform
import struct
from collections.abc import Iterator

from models.errors import Refused

UNKNOWN_MACHINE = "The sandbox has no system call filter for {machine}: use SANDBOX=container."

ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""The kernel's number of an architecture (AUDIT_ARCH_…), and its column in the tables below."""

X32_BIT = 0x40000000
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
NETLINK_ROUTE = 0
NEW_NAMESPACES = 0x7E020000  # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
TERMINAL_INJECTIONS = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
NONE = -1

FORBIDDEN = {
    # other processes and their memory
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    # keys, programs and rings in the kernel, and the tools of its exploits
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # namespaces and mounts
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    # the machine
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "vhangup": (153, 58),
    "personality": (135, 92),
    "lookup_dcookie": (212, 18),
    "nfsservctl": (180, 42),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "iopl": (172, NONE),
    "ioperm": (173, NONE),
    "modify_ldt": (154, NONE),
    "uselib": (134, NONE),
    "ustat": (136, NONE),
    "sysfs": (139, NONE),
    "_sysctl": (156, NONE),
}
MISSING = {
    "clone3": (435, 435),  # its flags are in memory, where no filter sees them: glibc falls back
    "memfd_secret": (447, 447),  # memory that nobody could count
}
CLONE, SOCKET, IOCTL = (56, 220), (41, 198), (16, 29)

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, FAIL, KILL = 0x7FFF0000, 0x00050000, 0x80000000
NUMBER, ARCHITECTURE = 0, 4

Instruction = tuple[int, int, int, int]
"""A `sock_filter`: code, how many to skip where it holds, and where it does not, the operand."""


def program(machine: str | None = None) -> bytes:
    """Return the filter for a machine as `uname -m` names it (None: this one).

    Raises `Refused` where there is none.
    """
    machine = machine or platform.machine()
    if machine not in ARCHITECTURES:
        raise Refused(UNKNOWN_MACHINE.format(machine=machine))
    architecture, column = ARCHITECTURES[machine]
    return b"".join(struct.pack("=HBBI", *each) for each in instructions(architecture, column))


def instructions(architecture: int, column: int) -> Iterator[Instruction]:
    """Yield the filter: other architectures die, the forbidden fails, the rest is allowed."""
    yield LOAD, 0, 0, ARCHITECTURE
    yield EQUAL, 1, 0, architecture
    yield RETURN, 0, 0, KILL
    yield LOAD, 0, 0, NUMBER
    if column == 0:
        yield AT_LEAST, 0, 1, X32_BIT
        yield RETURN, 0, 0, KILL
    for table, code in ((FORBIDDEN, errno.EPERM), (MISSING, errno.ENOSYS)):
        for numbers in table.values():
            if numbers[column] != NONE:
                yield from fail_at(numbers[column], code)
    yield from only(CLONE[column], clones())
    yield from only(IOCTL[column], terminals())
    yield from only(SOCKET[column], sockets())
    yield RETURN, 0, 0, ALLOW


def fail_at(number: int, code: int) -> Iterator[Instruction]:
    """Yield what fails where the loaded word is `number`."""
    yield EQUAL, 0, 1, number
    yield RETURN, 0, 0, FAIL | code


def only(number: int, rules: list[Instruction]) -> Iterator[Instruction]:
    """Yield rules for one system call; they may load other words, so they end with an answer."""
    yield EQUAL, 0, len(rules), number
    yield from rules


def argument(position: int) -> Instruction:
    """Return what loads the lower half of an argument: the kernel looks at no more of these."""
    return LOAD, 0, 0, 16 + 8 * position


def clones() -> list[Instruction]:
    """Return the rules of `clone`: no new namespaces."""
    return [
        argument(0),
        (ANY_BIT, 0, 1, NEW_NAMESPACES),
        (RETURN, 0, 0, FAIL | errno.EPERM),
        (RETURN, 0, 0, ALLOW),
    ]


def terminals() -> list[Instruction]:
    """Return the rules of `ioctl`: nothing is typed into a terminal."""
    rules = [argument(1)]
    for request in TERMINAL_INJECTIONS:
        rules += fail_at(request, errno.EPERM)
    return [*rules, (RETURN, 0, 0, ALLOW)]


def sockets() -> list[Instruction]:
    """Return the rules of `socket`: those of programs, and the question after the interfaces.

    Node, for one, cannot list its addresses without NETLINK_ROUTE; it speaks to the sandbox's own
    network, where there is only a loopback.
    """
    rules = [argument(0)]
    for family in (AF_UNIX, AF_INET, AF_INET6):
        rules += [(EQUAL, 0, 1, family), (RETURN, 0, 0, ALLOW)]
    return [
        *rules,
        (EQUAL, 1, 0, AF_NETLINK),
        (RETURN, 0, 0, FAIL | errno.EAFNOSUPPORT),
        argument(2),
        (EQUAL, 1, 0, NETLINK_ROUTE),
        (RETURN, 0, 0, FAIL | errno.EAFNOSUPPORT),
        (RETURN, 0, 0, ALLOW),
    ]
