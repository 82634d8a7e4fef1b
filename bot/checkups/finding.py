"""What a check says: something is fine, missing, or worth a warning, and how to mend it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncEngine

from bot.settings import Settings

State = Literal["ok", "warning", "missing"]


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's. `mend` says what to do; None where all is well."""

    check: str
    state: State
    words: str
    mend: str | None = None


@dataclass(frozen=True)
class Patient:
    """What is examined: settings, and the store where there is one."""

    settings: Settings
    store: AsyncEngine | None = None


def ok(check: str, words: str) -> Finding:
    """Say that something is fine."""
    return Finding(check, "ok", words)


def missing(check: str, words: str, mend: str) -> Finding:
    """Say what keeps runs from working, and how to mend it."""
    return Finding(check, "missing", words, mend)


def warning(check: str, words: str, mend: str) -> Finding:
    """Say what may surprise, and how to mend it."""
    return Finding(check, "warning", words, mend)


def listed(names: Iterable[object]) -> str:
    """Say several names."""
    return ", ".join(map(str, names))
