"""Reads GitHub's own log of deliveries: for what was missed, or, in pull mode, for everything.

What is found goes through the inbox like any other delivery, and is settled as if it had come.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot.clients.github import GitHub
from bot.clients.github_deliveries import DeliveryLog
from bot.jobs.log_reading import SOURCE, Reading, Reconciled
from bot.surroundings import Surroundings
from bot.vault import app_credentials
from models.errors import Refused
from models.recovering import LogCursor, log_checked, log_cursor, read_alone

__all__ = ["Reconciled", "keep_reconciling", "reconcile"]

log = structlog.get_logger()

KEPT = timedelta(days=3)
OVERLAP = timedelta(minutes=1)
EVERY_SECONDS = 300.0
QUICK_SECONDS, CALM_SECONDS, TROUBLED_SECONDS = 5.0, 30.0, 60.0
DUE = 0.8
NO_APP = "There is no GitHub App yet whose deliveries could be looked for."
BUSY = "Another process reads the log at this moment."
READ = "The log has been read a moment ago."
PULLS = "GitHub's own log of deliveries is read every few seconds"


async def reconcile(
    surroundings: Surroundings, *, unless_since: timedelta | None = None
) -> Reconciled:
    """Read the log once, and take what is missing; one process at a time does so.

    `unless_since`: not where anybody has read it so lately. Raises `Refused` where the app's key
    cannot be opened.
    """
    settings, engine = surroundings.settings, surroundings.engine
    async with engine.connect() as db:
        credentials = await app_credentials(db, settings, surroundings.vault)
    if credentials is None:
        return Reconciled(error=NO_APP)
    cursor_id = f"{SOURCE}:{credentials.app_id}"
    async with engine.begin() as alone:
        if not await read_alone(alone, cursor_id):
            return Reconciled(error=BUSY)
        now = datetime.now(UTC)
        async with engine.connect() as db:
            cursor = await log_cursor(db, cursor_id)
        if unless_since and cursor.checked_at and cursor.checked_at > now - unless_since:
            return Reconciled(error=READ)
        async with GitHub(credentials, settings.github_api_url) as github:
            reading = Reading(surroundings, DeliveryLog(github), start(cursor, now), now)
            reconciled = await reading.run()
        newest_id, delivered_at = reading.read_until()
        async with engine.begin() as db:
            await log_checked(
                db,
                cursor_id,
                newest_id=newest_id,
                delivered_at=delivered_at,
                error=reading.error,
            )
    return told(reconciled)


def start(cursor: LogCursor, now: datetime) -> datetime:
    """Return from when on the log is read: an attempt shows only when it is over."""
    earliest = now - KEPT
    return max(cursor.delivered_at - OVERLAP, earliest) if cursor.delivered_at else earliest


def told(reconciled: Reconciled) -> Reconciled:
    """Log what a reading came to, where it came to anything."""
    if reconciled.missed or reconciled.error:
        log.info(
            "delivery_log_read",
            missed=reconciled.missed,
            recovered=reconciled.recovered,
            asked_again=reconciled.asked_again,
            failed=reconciled.failed,
            error=reconciled.error,
        )
    return reconciled


async def keep_reconciling(surroundings: Surroundings, wake: Callable[[], None]) -> None:
    """Read the log now and again, for ever; `wake` is called when there is something to settle."""
    pulling = surroundings.settings.pull
    if pulling:
        log.info("pull_mode", says=PULLS)
    pause = QUICK_SECONDS if pulling else EVERY_SECONDS
    recently: timedelta | None = None
    while True:
        reconciled = await tried(surroundings, recently)
        if reconciled.recovered:
            wake()
        pause = pause_after(reconciled, pause, datetime.now(UTC)) if pulling else EVERY_SECONDS
        recently = timedelta(seconds=pause * DUE)
        await asyncio.sleep(pause)


async def tried(surroundings: Surroundings, recently: timedelta | None) -> Reconciled:
    """Read the log; what fails is logged and tried again, it never ends the worker."""
    try:
        return await reconcile(surroundings, unless_since=recently)
    except (SQLAlchemyError, OSError, Refused) as error:
        log.warning("delivery_log_unread", error=str(error)[:500])
        return Reconciled(error=str(error))
    except Exception as error:
        log.exception("delivery_log_failed")
        return Reconciled(error=str(error))


def pause_after(reconciled: Reconciled, pause: float, now: datetime) -> float:
    """Return the seconds until pull mode reads again: few while there is news, GitHub allowing."""
    if reconciled.until:
        return max((reconciled.until - now).total_seconds(), QUICK_SECONDS)
    if reconciled.missed and not reconciled.error:
        return QUICK_SECONDS
    if reconciled.error and reconciled.error not in (NO_APP, BUSY, READ):
        return TROUBLED_SECONDS
    return min(pause * 2, CALM_SECONDS)
