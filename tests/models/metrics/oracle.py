"""What METRICS.md says, computed over lists in the plainest way; knows nothing of the SQL."""

from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from itertools import pairwise
from statistics import fmean
from typing import Any
from zoneinfo import ZoneInfo

from models.metrics.core import Scope, Window
from tests.models.metrics.rows import Row

DAY = 86400
EDGES = [hour * 3600 for hour in (0, 1, 2, 4, 8, 12, 24, 48, 72, 120, 168, 336, 720)]
KINDS = ("new", "rollback", "rollforward", "redeploy", "baseline")


def percentile(values: list[float], share: float) -> float | None:
    """The value below which a share of the values lies, interpolated."""
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def local_day(at: datetime, time_zone: str) -> date:
    """The date that a wall clock showed."""
    return at.astimezone(ZoneInfo(time_zone)).date()


def days(window: Window) -> list[date]:
    """Each date of a window."""
    length = (window.end_date - window.start_date).days + 1
    return [window.start_date + timedelta(days=number) for number in range(length)]


def days_before(window: Window) -> list[date]:
    """As many dates directly before."""
    return [day - timedelta(days=len(days(window))) for day in days(window)]


def elapsed(dates: list[date], now: datetime, time_zone: str) -> int:
    """How many dates have begun; all when none has."""
    begun = [day for day in dates if day <= local_day(now, time_zone)]
    return len(begun or dates)


def within(rows: list[Row], scope: Scope, time: str, dates: list[date], zone: str) -> list[Row]:
    """The rows of a scope on some dates, oldest first."""
    classes = {"production", "staging", "transient", "other"}
    column = "environment_class" if scope.environment in classes else "environment"
    return sorted(
        (
            row
            for row in rows
            if row["organization_id"] == scope.organization_id
            and scope.repository_id in {None, row["repository_id"]}
            and scope.service in {None, row["service_id"]}
            and row[column] == scope.environment
            and local_day(row[time], zone) in dates
        ),
        key=lambda row: (row[time], row["id"]),
    )


def frequency(rows: list[Row], scope: Scope, window: Window, now: datetime) -> dict[str, Any]:
    """The numbers of deployment frequency."""
    zone = window.time_zone
    here = within(rows, scope, "finished_at", days(window), zone)
    before = within(rows, scope, "finished_at", days_before(window), zone)
    counted = [row for row in here if row["counted"]]
    earlier = [row for row in before if row["counted"]]
    shown = [row for row in here if row["state"] == "success"]
    gaps = [
        (after["finished_at"] - first["finished_at"]).total_seconds() / DAY
        for first, after in pairwise(counted)
    ]
    per_day = len(counted) / elapsed(days(window), now, zone) if counted else None
    per_day_before = len(earlier) / elapsed(days_before(window), now, zone) if earlier else None
    return {
        "per_day": per_day,
        "per_week": None if per_day is None else per_day * 7,
        "count": len(counted),
        "shown": len(shown),
        "failed": len(here) - len(shown),
        "kinds": {kind: sum(row["kind"] == kind for row in here) for kind in KINDS},
        "median_days_between": percentile(gaps, 0.5),
        "attempt_success_rate": len(shown) / len(here) if here else None,
        "previous": {"per_day": per_day_before, "count": len(earlier)},
    }


def bucket_of(day: date, bucket: str) -> date:
    """The first day of the bucket of a day."""
    if bucket == "week":
        return date.fromisocalendar(*day.isocalendar()[:2], 1)
    return date(day.year, day.month, 1) if bucket == "month" else day


def frequency_series(
    rows: list[Row], scope: Scope, window: Window, bucket: str
) -> list[dict[str, Any]]:
    """Counted, failed and shown of each bucket."""
    here = within(rows, scope, "finished_at", days(window), window.time_zone)

    def told(wanted: Callable[[Row], bool]) -> Counter[date]:
        return Counter(
            bucket_of(local_day(row["finished_at"], window.time_zone), bucket)
            for row in here
            if wanted(row)
        )

    counted = told(lambda row: row["counted"])
    failed = told(lambda row: row["state"] == "failure")
    shown = told(lambda row: row["state"] == "success")
    return [
        {
            "start_date": day.isoformat(),
            "count": counted[day],
            "failed": failed[day],
            "shown": shown[day],
        }
        for day in sorted({bucket_of(day, bucket) for day in days(window)})
    ]


def once(changes: list[Row], scope: Scope) -> list[Row]:
    """Each change once, where it first arrived in the scope's environment."""
    arrived: dict[Any, Row] = {}
    column = "environment_class" if scope.environment == "production" else "environment"
    for row in sorted(changes, key=lambda row: (row["deployed_at"], row["id"])):
        key = (row["change_id"], row[column], row["service_id"] if scope.service else None)
        arrived.setdefault(key, row)
    return list(arrived.values())


def spread(values: list[float]) -> dict[str, Any]:
    """How values spread."""
    percents = {f"p{share}_seconds": percentile(values, share / 100) for share in (50, 75, 90, 95)}
    mean = fmean(values) if values else None
    return {
        "median_seconds": percents["p50_seconds"],
        **percents,
        "mean_seconds": mean,
        "count": len(values),
    }


def leads(rows: list[Row], scope: Scope, window: Window, dates: list[date]) -> list[Row]:
    """The measured changes of all cohorts that arrived on some dates."""
    here = within(once(rows, scope), scope, "deployed_at", dates, window.time_zone)
    return [row for row in here if row["lead_seconds"] is not None]


def seconds(rows: list[Row], cohorts: tuple[str, ...]) -> list[float]:
    """The lead times of some cohorts."""
    return [row["lead_seconds"] for row in rows if row["cohort"] in cohorts]


def lead_time(rows: list[Row], scope: Scope, window: Window) -> dict[str, Any]:
    """The numbers of change lead time."""
    here = leads(rows, scope, window, days(window))
    counted = [row for row in here if row["cohort"] in scope.cohorts]
    before = seconds(leads(rows, scope, window, days_before(window)), scope.cohorts)
    stages = ("coding_seconds", "pickup_seconds", "review_seconds", "deploy_seconds")
    by_cohort = {cohort: seconds(here, (cohort,)) for cohort in ("people", "agent", "bots")}
    return {
        **spread(seconds(counted, scope.cohorts)),
        "stages": {
            stage: fmean(row[stage] or 0 for row in counted) if counted else None
            for stage in stages
        },
        "by_cohort": {
            cohort: {"median_seconds": percentile(values, 0.5), "count": len(values)}
            for cohort, values in by_cohort.items()
        },
        "previous": {"median_seconds": percentile(before, 0.5), "count": len(before)},
    }


def lead_time_series(
    rows: list[Row], scope: Scope, window: Window, bucket: str
) -> list[dict[str, Any]]:
    """Lead times of each bucket."""
    here = leads(rows, scope, window, days(window))
    buckets = sorted({bucket_of(day, bucket) for day in days(window)})
    values = {
        start: seconds(
            [
                row
                for row in here
                if bucket_of(local_day(row["deployed_at"], window.time_zone), bucket) == start
            ],
            scope.cohorts,
        )
        for start in buckets
    }
    return [
        {
            "start_date": start.isoformat(),
            "p50_seconds": percentile(values[start], 0.5),
            "p90_seconds": percentile(values[start], 0.9),
            "count": len(values[start]),
        }
        for start in buckets
    ]


def histogram(rows: list[Row], scope: Scope, window: Window) -> list[int]:
    """How many lead times lie from each edge to the next."""
    values = seconds(leads(rows, scope, window, days(window)), scope.cohorts)
    ends = [*EDGES[1:], float("inf")]
    return [
        sum(low <= max(value, 0) < high for value in values)
        for low, high in zip(EDGES, ends, strict=True)
    ]


def parts(rows: list[Row], wanted: Callable[[Row], bool], part: str) -> dict[str, Any]:
    """Which part of the rows is wanted; of none there is no rate."""
    found = sum(wanted(row) for row in rows)
    return {"rate": found / len(rows) if rows else None, part: found, "count": len(rows)}


def of_new_code(rows: list[Row], scope: Scope, window: Window, dates: list[date]) -> list[Row]:
    """The deployments that can fail."""
    here = within(rows, scope, "finished_at", dates, window.time_zone)
    return [row for row in here if row["kind"] in ("new", "rollforward")]


def failure_rate(
    rows: list[Row], failed: list[Row], scope: Scope, window: Window
) -> dict[str, Any]:
    """The numbers of change failure rate."""
    broken = {row["service_deployment_id"] for row in failed}
    here = of_new_code(rows, scope, window, days(window))
    before = of_new_code(rows, scope, window, days_before(window))

    def rate(some: list[Row]) -> dict[str, Any]:
        return parts(some, lambda row: row["id"] in broken, "failed")

    return {
        **rate(here),
        "by_cohort": {
            cohort: rate([row for row in here if cohort in row["cohorts"]])
            for cohort in ("people", "agent", "bots")
        },
        "previous": rate(before),
    }


def bucketed(
    rows: list[Row], time: str, window: Window, bucket: str
) -> list[tuple[str, list[Row]]]:
    """The rows of each bucket, by its first day; empty ones too."""
    return [
        (
            start.isoformat(),
            [r for r in rows if bucket_of(local_day(r[time], window.time_zone), bucket) == start],
        )
        for start in sorted({bucket_of(day, bucket) for day in days(window)})
    ]


def failure_series(
    rows: list[Row], failed: list[Row], scope: Scope, window: Window, bucket: str
) -> list[dict[str, Any]]:
    """Change failure rate of each bucket."""
    broken = {row["service_deployment_id"] for row in failed}
    here = of_new_code(rows, scope, window, days(window))
    return [
        {"start_date": start, **parts(some, lambda row: row["id"] in broken, "failed")}
        for start, some in bucketed(here, "finished_at", window, bucket)
    ]


def lasting(row: Row, start: str, end: str) -> float:
    """How many seconds something lasted."""
    return float((row[end] - row[start]).total_seconds())


def hurt(
    rows: list[Row], failed: list[Row], scope: Scope, window: Window, dates: list[date]
) -> tuple[list[float], list[Row]]:
    """Recovery times of the deployments that failed on some dates; and what is open."""
    known = {row["id"]: row for row in of_new_code(rows, scope, window, dates)}
    here = [row for row in failed if row["service_deployment_id"] in known]
    ended = [row for row in here if row["recovered_at"] is not None]
    times = [lasting(row, "failed_at", "recovered_at") for row in ended]
    still = [row for row in here if row["recovered_at"] is None]
    return [seconds for seconds in times if seconds >= 0], still


def recovery(
    rows: list[Row], failed: list[Row], scope: Scope, window: Window, now: datetime
) -> dict[str, Any]:
    """The numbers of failed deployment recovery time."""
    times, still = hurt(rows, failed, scope, window, days(window))
    before, _ = hurt(rows, failed, scope, window, days_before(window))
    ages = [(now - row["failed_at"]).total_seconds() for row in still]
    return {
        **spread(times),
        "open": len(still),
        "oldest_open_seconds": max(ages, default=None),
        "previous": {"median_seconds": percentile(before, 0.5), "count": len(before)},
    }


def recovery_series(
    rows: list[Row], failed: list[Row], scope: Scope, window: Window, bucket: str
) -> list[dict[str, Any]]:
    """Recovery times of each bucket."""
    known = {row["id"] for row in of_new_code(rows, scope, window, days(window))}
    here = [
        row
        for row in failed
        if row["service_deployment_id"] in known
        and row["recovered_at"] is not None
        and row["recovered_at"] >= row["failed_at"]
    ]
    return [
        {
            "start_date": start,
            "p50_seconds": percentile(
                [lasting(row, "failed_at", "recovered_at") for row in some], 0.5
            ),
            "p90_seconds": percentile(
                [lasting(row, "failed_at", "recovered_at") for row in some], 0.9
            ),
            "count": len(some),
        }
        for start, some in bucketed(here, "failed_at", window, bucket)
    ]


def lasted(incidents: list[Row]) -> dict[str, Any]:
    """How long some incidents lasted."""
    real = [row for row in incidents if not row["dismissed"]]
    ended = [row for row in real if row["resolved_at"] is not None]
    times = [
        lasting(row, "started_at", "resolved_at")
        for row in ended
        if row["resolved_at"] >= row["started_at"]
    ]
    return {
        "mean_seconds": fmean(times) if times else None,
        "median_seconds": percentile(times, 0.5),
        "count": len(times),
        "open": len(real) - len(ended),
    }


def about(incidents: list[Row], scope: Scope, dates: list[date], zone: str) -> list[Row]:
    """The incidents of a scope that began on some dates; one of no service is of none."""
    placed = [
        {**row, "repository_id": row["service_id"] and row["service_id"].rpartition("/")[0]}
        for row in incidents
    ]
    return within(placed, scope, "started_at", dates, zone)


def restore(incidents: list[Row], scope: Scope, window: Window, now: datetime) -> dict[str, Any]:
    """The numbers of time to restore."""
    here = about(incidents, scope, days(window), window.time_zone)
    before = about(incidents, scope, days_before(window), window.time_zone)
    ages = [
        (now - row["started_at"]).total_seconds()
        for row in here
        if not row["dismissed"] and row["resolved_at"] is None
    ]
    return {
        **lasted(here),
        "oldest_open_seconds": max(ages, default=None),
        "by_severity": {
            name or "none": lasted([row for row in here if row["severity"] == name])
            for name in ("sev1", "sev2", "sev3", "sev4", None)
        },
        "previous": lasted(before),
    }


def restore_series(
    incidents: list[Row], scope: Scope, window: Window, bucket: str
) -> list[dict[str, Any]]:
    """How long the incidents of each bucket lasted."""
    here = about(incidents, scope, days(window), window.time_zone)
    return [
        {"start_date": start, **lasted(some)}
        for start, some in bucketed(here, "started_at", window, bucket)
    ]


def mends(row: Row) -> bool:
    """Whether a deployment only mended earlier ones."""
    return row["kind"] in ("rollback", "rollforward")


def rework(rows: list[Row], scope: Scope, window: Window) -> dict[str, Any]:
    """The numbers of rework rate."""
    here = within(rows, scope, "finished_at", days(window), window.time_zone)
    before = within(rows, scope, "finished_at", days_before(window), window.time_zone)
    return {
        **parts([row for row in here if row["counted"]], mends, "reworked"),
        "previous": parts([row for row in before if row["counted"]], mends, "reworked"),
    }


def rework_series(
    rows: list[Row], scope: Scope, window: Window, bucket: str
) -> list[dict[str, Any]]:
    """Rework rate of each bucket."""
    here = within(rows, scope, "finished_at", days(window), window.time_zone)
    counted = [row for row in here if row["counted"]]
    return [
        {"start_date": start, **parts(some, mends, "reworked")}
        for start, some in bucketed(counted, "finished_at", window, bucket)
    ]


def bins(times: list[float]) -> list[int]:
    """How many times lie from each edge to the next."""
    ends = [*EDGES[1:], float("inf")]
    return [sum(low <= t < high for t in times) for low, high in zip(EDGES, ends, strict=True)]
