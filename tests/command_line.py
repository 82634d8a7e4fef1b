"""A command of the command line, run in the test's own process."""

from collections.abc import Callable
from typing import NamedTuple


class Said(NamedTuple):
    """What a command printed and returned."""

    code: int
    out: str
    err: str


Bot = Callable[..., Said]
