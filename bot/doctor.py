"""`doctor`: checks everything that a run of the agent needs, and says how to mend the rest."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict

import typer
from pydantic_core import to_json
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.checkups import github, machine, models, stores
from bot.checkups.finding import Finding, Patient, missing, warning
from bot.opening import with_store
from bot.settings import Settings, load
from models.errors import Refused

PATIENCE_SECONDS = 30.0
MARKS = {"ok": "●", "warning": "▲", "missing": "■"}
Check = Callable[[Patient], AsyncIterator[Finding]]
CHECKS: tuple[Check, ...] = (
    machine.sandbox,
    machine.git,
    machine.disk,
    stores.postgres,
    stores.redis,
    stores.worker,
    stores.budgets,
    models.claude,
    models.others,
    models.prices,
    github.clock,
    github.app,
    github.reachable,
)


def examine(*, as_json: bool) -> None:
    """Check everything and print it; exit with 1 where something is missing."""
    found = findings()
    if as_json:
        sys.stdout.write(to_json([asdict(each) for each in found], indent=2).decode() + "\n")
    else:
        for each in found:
            typer.echo(line(each))
        typer.echo(summary(found))
    raise typer.Exit(int(any(each.state == "missing" for each in found)))


def findings() -> list[Finding]:
    """Return what all checks say, with the store where there is one."""
    settings = load()

    async def with_it(store: AsyncEngine, told: Settings) -> list[Finding]:
        return await examined(Patient(told, store))

    try:
        return with_store(with_it)
    except Refused:
        return asyncio.run(examined(Patient(settings)))


async def examined(patient: Patient) -> list[Finding]:
    """Run all checks side by side; return what they say in their own order."""
    told = await asyncio.gather(*(checked(check, patient) for check in CHECKS))
    return [finding for found in told for finding in found]


async def checked(check: Check, patient: Patient) -> list[Finding]:
    """Run one check, for half a minute at most; a store that is away is a finding like others."""
    found: list[Finding] = []
    name = check.__name__
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            found.extend([finding async for finding in check(patient)])
    except TimeoutError:
        found.append(warning(name, "it took too long to find out", "Run this again."))
    except SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        mend = "Check DATABASE_URL, and run `python -m bot migrate`."
        found.append(missing(name, f"Postgres did not do it: {said}", mend))
    except OSError as error:
        found.append(missing(name, f"it could not be found out: {error}", "Mend that first."))
    return found


def line(finding: Finding) -> str:
    """Return a finding as a line, with a second one that says how to mend it."""
    said = f"{MARKS[finding.state]} {finding.state:8}{finding.check}: {finding.words}"
    return f"{said}\n            {finding.mend}" if finding.mend else said


def summary(found: Sequence[Finding]) -> str:
    """Say how it stands as a whole."""
    count = {state: sum(each.state == state for each in found) for state in MARKS}
    warnings = f"{count['warning']} warning{'' if count['warning'] == 1 else 's'}"
    if count["missing"]:
        return f"{count['missing']} missing, {warnings}: no run can work yet."
    return f"Nothing is missing, {warnings}: tickets can be developed."
