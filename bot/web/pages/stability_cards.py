"""The cards of what goes wrong: change failure rate, recovery, time to restore, rework."""

from collections.abc import Sequence

from bot.web import charts, words
from bot.web.pages.cards import (
    FEWEST_FOR_A_TREND,
    Card,
    Change,
    Measured,
    change,
    pill,
    thinned,
)
from bot.web.svg import Caption
from models.metrics.durations import DurationBucket
from models.metrics.failures import ChangeFailureRate, FailureBucket
from models.metrics.recovery import RecoveryTime
from models.metrics.restore import RestoreBucket, TimeToRestore
from models.metrics.rework import ReworkBucket, ReworkRate

COURSE = "Its course over the period."


def failure_card(told: ChangeFailureRate, weeks: Sequence[FailureBucket]) -> Card:
    """Change failure rate: how many of the deployments that brought something new failed."""
    value, unit = percent(told["rate"])
    before = told["previous"]
    said = f"{told['failed']} of {words.count(told['count'], 'deployment')}"
    return Card(
        key="change-failure-rate",
        title="Change failure rate",
        path="/delivery/explain/change-failure-rate",
        value=value,
        unit=unit,
        exact=f"{said} failed",
        count=said,
        reason=told["reason"],
        pill=pill(told),
        change=points((told["rate"], told["count"]), (before["rate"], before["count"])),
        spark=charts.sparkline(
            Caption("spark-failures", "Change failure rate", COURSE),
            thinned([week["rate"] for week in weeks]),
        ),
    )


def recovery_card(told: RecoveryTime, weeks: Sequence[DurationBucket]) -> Card:
    """Failed deployment recovery time: the median; what is still open is said beside it."""
    value, unit = words.measured(told["median_seconds"])
    before = told["previous"]
    return Card(
        key="failed-deployment-recovery-time",
        title="Failed deployment recovery time",
        path="/delivery/explain/failed-deployment-recovery-time",
        value=value,
        unit=f"{unit}, median" if unit else "",
        exact=words.exact_duration(told["median_seconds"]),
        count=f"{told['count']} recovered{still_open(told)}",
        reason=told["reason"],
        pill=pill(told),
        change=change(
            (told["median_seconds"], told["count"]),
            (before["median_seconds"], before["count"]),
            higher="bad",
        ),
        spark=charts.sparkline(
            Caption("spark-recovery", "Median recovery time", COURSE),
            thinned([week["p50_seconds"] for week in weeks]),
        ),
    )


def still_open(told: RecoveryTime) -> str:
    """Say how many failed deployments have not recovered, and the age of the oldest."""
    if not told["open"]:
        return ""
    age = words.duration(told["oldest_open_seconds"]).replace(" ", "\N{NO-BREAK SPACE}")
    return f", {told['open']} open for {age}"


def restore_card(told: TimeToRestore, weeks: Sequence[RestoreBucket]) -> Card:
    """Time to restore: the median over all incidents, whatever they blame."""
    value, unit = words.measured(told["median_seconds"])
    before = told["previous"]
    still = f", {told['open']} open" if told["open"] else ""
    return Card(
        key="time-to-restore",
        title="Time to restore",
        path="/delivery/explain/time-to-restore",
        value=value,
        unit=f"{unit}, median" if unit else "",
        exact=f"{words.exact_duration(told['median_seconds'])}, "
        f"mean {words.exact_duration(told['mean_seconds'])}",
        count=f"{words.count(told['count'], 'incident')}{still}",
        reason=told["reason"],
        pill=None,
        change=change(
            (told["median_seconds"], told["count"]),
            (before["median_seconds"], before["count"]),
            higher="bad",
        ),
        spark=charts.sparkline(
            Caption("spark-restore", "Median time to restore", COURSE),
            thinned([week["median_seconds"] for week in weeks]),
        ),
    )


def rework_card(told: ReworkRate, weeks: Sequence[ReworkBucket]) -> Card:
    """Rework rate: how many of the deployments took something back or mended it."""
    value, unit = percent(told["rate"])
    before = told["previous"]
    said = f"{told['reworked']} of {words.count(told['count'], 'deployment')}"
    return Card(
        key="rework-rate",
        title="Rework rate",
        path="/delivery/explain/rework-rate",
        value=value,
        unit=unit,
        exact=f"{said} were rollbacks or mended something",
        count=said,
        reason=told["reason"],
        pill=None,
        change=points((told["rate"], told["count"]), (before["rate"], before["count"])),
        spark=charts.sparkline(
            Caption("spark-rework", "Rework rate", COURSE),
            thinned([week["rate"] for week in weeks]),
        ),
    )


def percent(share: float | None) -> tuple[str, str]:
    """Say a share as its number and its unit, so that they can be set apart.

    >>> percent(0.086), percent(0.5)
    (('8.6', '%'), ('50', '%'))
    """
    said, _, unit = words.share(share).partition(" ")
    return said, unit


def points(now: Measured, before: Measured) -> Change | None:
    """Compare two shares in percentage points, of which fewer are better.

    Grey where either period has too few samples to say anything.
    """
    (share, count), (previous, previous_count) = now, before
    if share is None or previous is None:
        return None
    moved = (share - previous) * 100
    direction = "same" if abs(moved) < 0.05 else "up" if moved > 0 else "down"
    tone = {"same": "none", "up": "bad", "down": "good"}[direction]
    if min(count, previous_count) < FEWEST_FOR_A_TREND:
        tone = "none"
    return Change(direction, f"{words.shortest(abs(moved))} pt", tone)
