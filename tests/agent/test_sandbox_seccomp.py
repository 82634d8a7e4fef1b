"""The filter of system calls, interpreted here as the kernel would: also for other machines."""

import struct

import pytest

from bot.agent import seccomp
from models.errors import Refused

MACHINES = ("x86_64", "aarch64")
EPERM, ENOSYS, EAFNOSUPPORT = 1, 38, 97


def answer(machine: str, number: int, *arguments: int, architecture: int | None = None) -> str:
    """What the kernel would do at a system call: allow, kill or an error's number."""
    if architecture is None:
        architecture = seccomp.ARCHITECTURES[machine][0]
    padded = (*arguments, *(0,) * (6 - len(arguments)))
    data = struct.pack("<IIQ6Q", number, architecture, 0, *padded)
    program = list(struct.iter_unpack("=HBBI", seccomp.program(machine)))
    at = word = 0
    while True:
        code, yes, no, operand = program[at]
        at += 1
        if code == seccomp.LOAD:
            (word,) = struct.unpack_from("<I", data, operand)
        elif code == seccomp.RETURN:
            return said(operand)
        else:
            at += yes if holds(code, word, operand) else no


def holds(code: int, word: int, operand: int) -> bool:
    """What a jump asks."""
    return {
        seccomp.EQUAL: word == operand,
        seccomp.AT_LEAST: word >= operand,
        seccomp.ANY_BIT: bool(word & operand),
    }[code]


def said(operand: int) -> str:
    """An answer in words."""
    if operand >> 16 == seccomp.FAIL >> 16:
        return str(operand & 0xFFFF)
    return {seccomp.ALLOW: "allow", seccomp.KILL: "kill"}[operand]


@pytest.mark.parametrize("machine", MACHINES)
def test_the_forbidden_fails_and_everything_else_is_allowed(machine: str) -> None:
    column = seccomp.ARCHITECTURES[machine][1]
    forbidden = {each[column] for each in seccomp.FORBIDDEN.values()}
    missing = {each[column] for each in seccomp.MISSING.values()}
    asked = {each[column] for each in (seccomp.CLONE, seccomp.SOCKET, seccomp.IOCTL)}
    for number in set(range(600)) - asked:
        wanted = "allow"
        wanted = str(EPERM) if number in forbidden else wanted
        wanted = str(ENOSYS) if number in missing else wanted
        assert answer(machine, number) == wanted, number


@pytest.mark.parametrize("machine", MACHINES)
def test_threads_and_processes_are_made_but_no_namespaces(machine: str) -> None:
    clone = seccomp.CLONE[seccomp.ARCHITECTURES[machine][1]]
    assert answer(machine, clone, 0x3D0F00) == "allow"  # a thread
    assert answer(machine, clone, 0x1200011) == "allow"  # a fork
    for bit in (0x20000, *(1 << each for each in range(25, 31))):
        assert answer(machine, clone, bit | 0x11) == str(EPERM)


@pytest.mark.parametrize("machine", MACHINES)
def test_only_the_lower_half_of_an_argument_counts(machine: str) -> None:
    column = seccomp.ARCHITECTURES[machine][1]
    assert answer(machine, seccomp.IOCTL[column], 0, 0x5412 | 1 << 32) == str(EPERM)
    assert answer(machine, seccomp.IOCTL[column], 0x5412, 0x5401) == "allow"
    assert answer(machine, seccomp.SOCKET[column], 17 | 1 << 40) == str(EAFNOSUPPORT)


@pytest.mark.parametrize("machine", MACHINES)
def test_sockets_by_family(machine: str) -> None:
    socket = seccomp.SOCKET[seccomp.ARCHITECTURES[machine][1]]
    allowed = {family for family in range(50) if answer(machine, socket, family, 1, 9) == "allow"}
    assert allowed == {1, 2, 10}
    assert answer(machine, socket, 16, 3, 0) == "allow"
    assert answer(machine, socket, 16, 3, 12) == str(EAFNOSUPPORT)


def test_another_architecture_is_deadly() -> None:
    assert answer("x86_64", 39, architecture=0x40000003) == "kill"
    assert answer("aarch64", 172, architecture=0x40000028) == "kill"
    assert answer("x86_64", 39 | 0x40000000) == "kill"


def test_a_machine_without_a_filter_is_told_what_to_do() -> None:
    with pytest.raises(Refused, match="riscv64: use SANDBOX=container"):
        seccomp.program("riscv64")
