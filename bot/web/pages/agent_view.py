"""What the Agent screens show, put together from the tables: states, queues, money, comparison."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from markupsafe import Markup

from bot.web import words
from bot.web.svg import Caption, outer, plot, short
from models.agent_pages import Merged, Taken
from models.budgets import Limit
from models.metrics.agent import Agent
from models.metrics.failures import FailureCount
from models.prompts import AgentSettings

BAR_HEIGHT = 8


@dataclass(frozen=True)
class Said:
    """A state as people see it: words, the shape beside them, and the kind that gives its colour.

    `doing`: what goes on in it, in a few words.
    """

    words: str
    icon: str
    kind: str = ""
    doing: str = ""


STATES: Mapping[str, Said] = {
    "queued": Said("waiting", "waiting", doing="A worker takes it up when its turn comes."),
    "setup": Said("setting up", "working", "working", "The repository is fetched and set up."),
    "planning": Said("planning", "working", "working", "The model looks around and writes a plan."),
    "waiting_approval": Said("needs approval", "parked", "asking", "The plan waits for a person."),
    "developing": Said("developing", "working", "working", "The model works in the sandbox."),
    "validating": Said("testing", "working", "working", "The tests run on base and result."),
    "gating": Said("checking", "working", "working", "The gate looks at what may leave."),
    "publishing": Said("publishing", "working", "working", "The pull request is opened."),
    "done": Said("done", "settled", "settled"),
    "draft": Said("draft", "draft", "asking"),
    "nothing_to_do": Said("nothing to do", "ignored"),
    "failed": Said("failed", "failed", "failed"),
    "cancelled": Said("stopped", "stopped"),
    "over_budget": Said("over budget", "money", "failed"),
    "blocked": Said("blocked", "blocked", "failed"),
}
VERDICTS: Mapping[str, Said] = {
    "passed": Said("passed", "settled", "settled"),
    "no new failures": Said("no new failures", "settled", "settled"),
    "new failures": Said("new failures", "failed", "failed"),
    "no tests found": Said("no tests found", "ignored"),
}

KINDS = {"plan": "plan", "review": "on a review", "checks": "on failing checks"}


def said_state(name: str) -> Said:
    """Return a state as people see it."""
    return STATES.get(name, Said(name, "waiting"))


def said_verdict(name: str | None) -> Said | None:
    """Return a verdict as people see it; None where the tests did not run."""
    return VERDICTS.get(name, Said(name, "ignored")) if name else None


def person(name: str | None) -> str:
    """Name who asked, never by a whole e-mail address."""
    return (name or "").partition("@")[0] or words.NOTHING


def prompt(run: Mapping[str, Any]) -> str:
    """Name the prompt template of a run, with its version where it is the organisation's own."""
    name, version = run["prompt_name"], run["prompt_version"]
    if not name:
        return words.NOTHING
    return name if version is None or str(version) in name else f"{name} {version}"


@dataclass(frozen=True)
class Meter:
    """One budget of the day: what is gone of it as a bar, and in words."""

    name: str
    bar: Markup
    spent: Decimal
    reserved: Decimal
    limit: Decimal
    full: bool


def meters(limits: Iterable[Limit], taken: Mapping[str, Taken]) -> list[Meter]:
    """Return budgets as bars; a limit of nothing is a full one."""
    return [meter(key, limit, taken[limit.id]) for key, limit in enumerate(limits)]


def meter(key: int, limit: Limit, gone: Taken) -> Meter:
    """Draw one budget: spent, then reserved, on what there is."""
    whole = max(limit.usd, gone.spent_usd + gone.reserved_usd, Decimal("0.01"))
    full = gone.spent_usd + gone.reserved_usd >= limit.usd
    drawn, x = Markup('<rect class="rest" width="100" height="100"/>'), 0.0
    for kind, usd in (("s3" if full else "s1", gone.spent_usd), ("s2", gone.reserved_usd)):
        width = float(usd / whole * 100)
        drawn += Markup('<rect class="{}" x="{}" width="{}" height="100"/>').format(
            kind, short(x), short(width)
        )
        x += width
    caption = Caption(
        f"budget-{key}",
        f"Budget: {limit.name}",
        f"{words.usd(gone.spent_usd)} spent and {words.usd(gone.reserved_usd)} reserved of "
        f"{words.usd(limit.usd)}.",
    )
    bar = outer("chart stages", BAR_HEIGHT, caption, plot([drawn], 100, 0, BAR_HEIGHT))
    return Meter(limit.name, bar, gone.spent_usd, gone.reserved_usd, limit.usd, full)


def limits_of_day(
    organization_id: str, names: Mapping[str, str], day: date, wishes: AgentSettings
) -> list[Limit]:
    """Return the budgets of a day: the organisation's, then those of repositories by name."""
    organization, repository = (
        wishes.organization_day_budget_usd or Decimal(0),
        wishes.repository_day_budget_usd or Decimal(0),
    )
    return [
        Limit(f"organization:{organization_id}:{day}", "all repositories", organization),
        *(Limit(f"repository:{key}:{day}", name, repository) for key, name in names.items()),
    ]


@dataclass(frozen=True)
class Queue:
    """One repository's open tickets, in the order of development. `full_name` is `owner/name`."""

    repository_id: str
    full_name: str
    tickets: Sequence[Mapping[str, Any]]

    @property
    def free(self) -> bool:
        """Whether there is a ticket that could be developed next."""
        return any(ticket["run_id"] is None for ticket in self.tickets)


def queues(
    waiting: Mapping[str, Sequence[Mapping[str, Any]]],
    known: Mapping[str, str],
    shown: Iterable[str],
) -> list[Queue]:
    """Return the queues of the repositories that are shown, by name; full ones come first."""
    keys = dict.fromkeys([*waiting, *shown])
    made = [Queue(key, known[key], waiting.get(key, ())) for key in keys if key in known]
    return sorted(made, key=lambda queue: (not queue.tickets, queue.full_name))


@dataclass(frozen=True)
class Compared:
    """One figure of the agent beside people's. `why` says what a dash means."""

    name: str
    agent: str
    people: str
    why: str = ""


def shared(told: FailureCount) -> str:
    """Say a rate and of how many it is; without any, a dash."""
    return f"{words.share(told['rate'])} ({told['count']})" if told["count"] else words.NOTHING


def comparison(told: Agent, merged: Mapping[str, Merged]) -> list[Compared]:
    """Put the agent's and people's pull requests side by side; no ranking, no colours."""
    lead, answer, cost = told["change_lead_time"], told["response_time"], told["cost"]
    failed = told["change_failure_rate"]
    return [
        Compared("Pull requests merged", str(merged["agent"].number), str(merged["people"].number)),
        Compared(
            "Opened to merged, median",
            words.duration(merged["agent"].median_seconds),
            words.duration(merged["people"].median_seconds),
            unmerged(merged),
        ),
        Compared(
            "Change lead time, median",
            of(lead["agent"]["median_seconds"], lead["agent"]["count"]),
            of(lead["people"]["median_seconds"], lead["people"]["count"]),
            lead["reason"] or "",
        ),
        Compared(
            "Change failure rate",
            shared(failed["agent"]),
            shared(failed["people"]),
            failed["reason"] or "",
        ),
        Compared(
            "Asked to open pull request, median",
            of(answer["median_seconds"], answer["count"]),
            words.NOTHING,
            "of people it is not known when they were asked",
        ),
        Compared(
            "Cost per merged pull request",
            words.usd(cost["per_merged_pull_request_usd"]),
            words.NOTHING,
            uncosted(told),
        ),
    ]


def of(seconds: float | None, count: int) -> str:
    """Say a median with the number it is of."""
    return f"{words.duration(seconds)} ({count})" if count else words.NOTHING


def unmerged(merged: Mapping[str, Merged]) -> str:
    """Say whose pull requests there are none of."""
    lacking = [cohort for cohort in ("agent", "people") if not merged[cohort].number]
    return f"of {' and '.join(lacking)}: none was merged in this period" if lacking else ""


def uncosted(told: Agent) -> str:
    """Say why a merged pull request has no price."""
    people = "people's time has no price here"
    if told["cost"]["per_merged_pull_request_usd"] is not None:
        return people
    return f"{people}; of the agent, none was merged in this period"


def progress(checklist: Sequence[Mapping[str, Any]]) -> str | None:
    """Say how far a checklist is, with the step that is next; None where there is none."""
    if not checklist:
        return None
    done = sum(bool(item.get("done")) for item in checklist)
    following = next((str(item.get("text")) for item in checklist if not item.get("done")), "")
    return f"{done} of {len(checklist)}" + (f": {following}" if following else "")
