"""The five metrics of DORA in lines: value, level, change against the period before, and n."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from bot import words
from bot.chat.blocks import bold, link, said
from models.metrics.core import Scope, Window, measured_in
from models.metrics.dora import Dora, dora

ARROWS = {"up": "▲", "down": "▼", "same": "="}
TONES = {"good": ", better", "bad": ", worse", "none": ""}


@dataclass(frozen=True)
class Figure:
    """One metric as a line says it. `reason`: why it has no value, None where it has one."""

    title: str
    value: str
    level: str | None
    change: words.Change | None
    count: str
    reason: str | None

    def line(self, against: str) -> str:
        """Say it in a line of Slack's mark-up."""
        if self.reason:
            return f"{bold(self.title)}: no data: {said(self.reason)} · n = 0"
        parts = [f"*{self.value}*", said(self.level).capitalize() if self.level else ""]
        parts += [f"{moved(self.change)} against the {against} before" if self.change else ""]
        return f"{self.title}: {' · '.join(part for part in [*parts, self.count] if part)}"


def moved(change: words.Change) -> str:
    """Say how far a number moved, which way, and whether that is good."""
    if change.direction == "same":
        return "= the same"
    return f"{ARROWS[change.direction]} {change.says}{TONES[change.tone]}"


async def five(
    db: AsyncConnection, scope: Scope, window: Window, now: datetime, url: str = ""
) -> list[str]:
    """Return the five metrics of a scope in a window, a line each; `url`: where to see the rest."""
    _, edition = await measured_in(db, scope.organization_id)
    told = await dora(db, scope, window, now, edition)
    against = words.count(window.days, "day") if window.days > 1 else "day"
    lines = [figure.line(against) for figure in figures(told)]
    return [*lines, link(url, "More, and why")] if url else lines


def figures(told: Dora) -> Iterator[Figure]:
    """Yield the five metrics."""
    yield frequency(told)
    yield median("Change lead time", told["change_lead_time"], "change")
    yield failures(told)
    recovery = told["failed_deployment_recovery_time"]
    waiting = f", {recovery['open']} open" if recovery["open"] else ""
    yield median("Failed deployment recovery time", recovery, "failed deployment", waiting)
    yield rework(told)


def frequency(body: Dora) -> Figure:
    """Say how often deployments were made."""
    told, before = body["deployment_frequency"], body["deployment_frequency"]["previous"]
    now = (told["per_day"], told["count"])
    return Figure(
        title="Deployment frequency",
        value=" ".join(words.per_unit(told["per_day"])),
        level=told["level"] or told["level_place"],
        change=words.change(now, (before["per_day"], before["count"]), higher="good"),
        count=f"n = {words.count(told['count'], 'deployment')}",
        reason=told["reason"],
    )


def median(title: str, told: Any, noun: str, more: str = "") -> Figure:
    """Say a median of durations, of which shorter is better."""
    now, before = (told["median_seconds"], told["count"]), told["previous"]
    previous = (before["median_seconds"], before["count"])
    return Figure(
        title=title,
        value=words.duration(told["median_seconds"]),
        level=told["level"] or told["level_place"],
        change=words.change(now, previous, higher="bad"),
        count=f"n = {words.count(told['count'], noun)}{more}",
        reason=told["reason"],
    )


def failures(body: Dora) -> Figure:
    """Say which part of the deployments failed."""
    told, before = body["change_failure_rate"], body["change_failure_rate"]["previous"]
    now = (told["rate"], told["count"])
    return Figure(
        title="Change failure rate",
        value=words.share(told["rate"]),
        level=told["level"] or told["level_place"],
        change=words.change(now, (before["rate"], before["count"]), higher="bad"),
        count=f"n = {told['failed']} of {words.count(told['count'], 'deployment')}",
        reason=told["reason"],
    )


def rework(body: Dora) -> Figure:
    """Say which part of the deployments only mended."""
    told, before = body["rework_rate"], body["rework_rate"]["previous"]
    now = (told["rate"], told["count"])
    return Figure(
        title="Rework rate",
        value=words.share(told["rate"]),
        level=None,
        change=words.change(now, (before["rate"], before["count"]), higher="bad"),
        count=f"n = {told['reworked']} of {words.count(told['count'], 'deployment')}",
        reason=told["reason"],
    )
