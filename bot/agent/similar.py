"""What was learnt before: similar finished tickets of a repository, as a model is told of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.agent.cleaning import cleaned, one_line
from models.similar import finished_like

MOST_FILES = 12
MOST_SUMMARY = 600


@dataclass(frozen=True)
class Similar:
    """A finished ticket. `outcome` says what became of it; `files` are those its run changed."""

    number: int
    title: str
    outcome: str
    summary: str
    files: tuple[str, ...]

    @property
    def words(self) -> str:
        """Say it in a few lines; title, summary and paths are words of strangers."""
        lines = [f"- #{self.number} {one_line(self.title, 200)}: {self.outcome}."]
        if self.summary:
            lines.append("  " + " ".join(cleaned(self.summary, MOST_SUMMARY).split()))
        if self.files:
            named = ", ".join(one_line(path, 200) for path in self.files[:MOST_FILES])
            more = ", …" if len(self.files) > MOST_FILES else ""
            lines.append(f"  Files: {named}{more}")
        return "\n".join(lines)


async def similar_tickets(db: AsyncConnection, ticket: Any) -> list[Similar]:
    """Return the three finished tickets of the same repository that are most like a ticket."""
    return [similar(dict(row)) for row in await finished_like(db, ticket)]


def similar(row: Mapping[str, Any]) -> Similar:
    """Return a row of `finished_like` as it is told."""
    files = tuple(str(each.get("path")) for each in row["files"] or ())
    return Similar(row["number"], row["title"], outcome(row), row["summary"] or "", files)


def outcome(row: Mapping[str, Any]) -> str:
    """Say what became of a ticket."""
    pull_request = row["pull_request_number"]
    if row["merged"]:
        return f"merged as pull request #{pull_request}"
    if pull_request:
        return f"pull request #{pull_request} was not merged"
    return "finished" if row["status"] == "closed" else "ended without a pull request"
