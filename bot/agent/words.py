"""What is said on GitHub about a run: every sentence of the comment, the pull request, the check.

Words of the model and of the issue are made harmless here, before they leave (`redact.harmless`);
secrets are taken out at the border, by whoever sends.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bot.agent.harmless import harmless, harmless_line, shortened
from models.runs import ENDED

MARKER = "<!-- veelocity:ticket:{ticket} -->"
STATES = {
    "queued": "⏳ waiting for its turn",
    "setup": "🔧 setting up",
    "planning": "🔎 planning",
    "waiting_approval": "✋ waiting for approval",
    "developing": "✏️ developing",
    "validating": "🧪 running the tests",
    "gating": "🛡️ checking what may leave",
    "publishing": "📤 publishing",
    "done": "✅ done",
    "draft": "📝 a draft, and it says why",
    "nothing_to_do": "🤷 nothing to do",
    "failed": "❌ failed",
    "cancelled": "⏹ stopped",
    "over_budget": "💰 the budget is used up",
    "blocked": "⛔ blocked",
}
VERDICTS = {
    "passed": "✅ passed",
    "no new failures": "🟡 no new failures",
    "new failures": "❌ new failures",
    "no tests found": "⚪ no tests found",
}
LIMITS = {
    "usd": "the budget of this run",
    "turns": "the number of turns",
    "tokens": "the number of tokens",
    "seconds": "the time",
}
MOST_FILES = 20
MOST_ERROR = 3000


def money(usd: Decimal | float | None) -> str:
    """Say an amount of US dollars."""
    return f"${Decimal(usd or 0):.2f}"


def length(seconds: float) -> str:
    """Say a duration in minutes, or in seconds where it is short."""
    return f"{seconds:.0f} s" if seconds < 60 else f"{seconds / 60:.0f} min"


def tokens(count: int) -> str:
    """Say a number of tokens."""
    return f"{count / 1000:.0f}k" if count >= 1000 else str(count)


def elapsed(run: Mapping[str, Any], now: datetime | None = None) -> float:
    """Return the seconds that a run has taken so far."""
    end = run["finished_at"] or now or datetime.now(UTC)
    return float((end - run["started_at"]).total_seconds()) if run["started_at"] else 0.0


def tracking(
    run: Mapping[str, Any],
    ticket: Mapping[str, Any],
    run_url: str,
    notes: Sequence[str] = (),
    now: datetime | None = None,
) -> str:
    """Return the tracking comment: state, checklist, time and cost so far, the way on."""
    lines = [headline(run, now), ""]
    lines += checklist(run["checklist"], ticket["number"])
    if run["plan"] and run["state"] == "waiting_approval":
        lines += ["### The plan", "", harmless(run["plan"], ticket["number"]), ""]
    lines += [f"- {note}" for note in (*notes, *results(run, ticket))]
    lines += ["", f"<sub>{ways_on(run, run_url)}</sub>"]
    return "\n".join(lines)


def headline(run: Mapping[str, Any], now: datetime | None = None) -> str:
    """Return state, time, cost and model in one line."""
    parts = [f"**{STATES[run['state']]}**", length(elapsed(run, now)), money(run["cost_usd"])]
    if run["model"]:
        parts.append(f"`{run['model']}`")
    return " · ".join(parts)


def checklist(items: Iterable[Mapping[str, Any]], number: int) -> Iterator[str]:
    """Yield what the model reported of its progress, as a list of tasks."""
    for item in items:
        yield f"- [{'x' if item.get('done') else ' '}] {one_line(str(item.get('text')), number)}"


def one_line(text: str, number: int, most: int = 300) -> str:
    """Return words of the model as one harmless line."""
    return harmless(" ".join(text.split())[:most], number)


def results(run: Mapping[str, Any], ticket: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a run came to, as far as it has come to anything."""
    number = ticket["number"]
    if run["state"] in ENDED and run["pull_request_number"]:
        yield f"Pull request: #{run['pull_request_number']}"
    if run["verdict"]:
        yield f"Tests: {VERDICTS.get(run['verdict'], run['verdict'])}"
    if run["limits"]:
        yield f"Limits reached: {', '.join(LIMITS.get(each, each) for each in run['limits'])}"
    if run["error"]:
        yield one_line(run["error"], number, MOST_ERROR)
    question = (run["outcome"] or {}).get("question")
    if question:
        yield f"It asks: {one_line(question, number)} Answer here, then `/claude retry`."
    if run["state"] == "nothing_to_do" and run["summary"]:
        yield one_line(run["summary"], number)


def ways_on(run: Mapping[str, Any], run_url: str) -> str:
    """Say where to follow the run, and what can be asked of it now."""
    if run["state"] == "waiting_approval":
        can = "`/claude approve` has it developed, `/claude stop` ends it."
    elif run["state"] in ENDED:
        can = "`/claude retry` tries again, `/claude help` lists what can be asked."
    else:
        can = "`/claude stop` stops it."
    return f"[Follow the run]({run_url}) · {can}"


def blocked(faults: Iterable[tuple[str, str]]) -> str:
    """Say what the gate did not let through, and how a maintainer may allow it."""
    listed = list(faults)
    named = "; ".join(f"`{path}` ({why})" for path, why in listed[:MOST_FILES])
    more = f" and {len(listed) - MOST_FILES} more" if len(listed) > MOST_FILES else ""
    return (
        f"Nothing was pushed: {named}{more}. A maintainer may allow a protected path for one run "
        "by `/claude allow PATH` and then `/claude retry`."
    )


def title(submission: Mapping[str, Any] | None, ticket: Mapping[str, Any]) -> str:
    """Return the pull request's title."""
    told = (submission or {}).get("title") or ticket["title"]
    return harmless_line(str(told), ticket["number"]) or f"Resolve #{ticket['number']}"


def commit_message(
    submission: Mapping[str, Any] | None,
    ticket: Mapping[str, Any],
    coauthor: str | None,
) -> str:
    """Return the commit's message; who asked for it is its co-author."""
    lines = [shortened(title(submission, ticket), 72), "", f"For #{ticket['number']}."]
    if coauthor:
        lines += ["", f"Co-authored-by: {coauthor}"]
    return "\n".join(lines)


def body(
    run: Mapping[str, Any],
    ticket: Mapping[str, Any],
    run_url: str,
    *,
    template: str | None,
    weakened: Sequence[str] = (),
) -> str:
    """Return the pull request's text: what and why, the evidence, the cost, the way back."""
    parts = [f"Fixes #{ticket['number']}", what_and_why(run, ticket)]
    if reasons := list(why_draft(run, ticket)):
        parts.append("**This is a draft:** " + " ".join(reasons))
    parts += [evidence(run), files(run)]
    if weakened:
        listed = "\n".join(f"- `{cell(each)}`" for each in weakened)
        parts.append(f"⚠️ **Tests that were deleted or weakened**\n{listed}")
    parts.append(figures(run, run_url))
    if template:
        parts.append(filled(template))
    return "\n\n".join(part for part in parts if part)


def what_and_why(run: Mapping[str, Any], ticket: Mapping[str, Any]) -> str:
    """Return the model's own summary, made harmless."""
    return harmless(run["summary"] or ticket["title"], ticket["number"], home=home_of(ticket))


def home_of(ticket: Mapping[str, Any]) -> str:
    """Return the repository's address, as the issue's own has it; empty where that is not known."""
    home, found, _ = (ticket.get("url") or "").rpartition("/issues/")
    return home if found else ""


def why_draft(run: Mapping[str, Any], ticket: Mapping[str, Any]) -> Iterator[str]:
    """Yield the reasons for which a pull request stays a draft."""
    if run["verdict"] == "new failures":
        yield "Tests fail that passed before."
    if run["limits"]:
        reached = ", ".join(LIMITS.get(each, each) for each in run["limits"])
        yield f"The run reached {reached} before it was done."
    outcome = run["outcome"] or {}
    if outcome.get("kind") not in ("submitted", "ended", "limit", None):
        yield one_line(str(outcome.get("words") or "The run ended early."), ticket["number"])


def evidence(run: Mapping[str, Any]) -> str:
    """Return a table of the tests, on the base and on the result."""
    told = run["evidence"] or {}
    if not told.get("command"):
        return "**Tests:** none were found, so nothing was proven by running them."
    rows = [
        "| tests | base | result |",
        "|---|---|---|",
        f"| `{cell(told['command'])}` | {outcome_of(told.get('base'))} "
        f"| {outcome_of(told.get('result'))} |",
    ]
    said = [f"**Tests: {VERDICTS.get(run['verdict'], run['verdict'])}**", "\n".join(rows)]
    said += [f"- {cell(each)}" for each in told.get("notes") or ()]
    new = told.get("new_failures") or []
    if new:
        said.append("New failures: " + ", ".join(f"`{cell(name)}`" for name in new[:MOST_FILES]))
    return "\n\n".join(said)


def outcome_of(test: Mapping[str, Any] | None) -> str:
    """Say one run of the tests in a few words."""
    if not test:
        return "not run"
    if test.get("timed_out"):
        return f"timed out after {length(test.get('seconds') or 0)}"
    count = len(test.get("failures") or ())
    passed = "passed" if test.get("code") == 0 else f"failed (exit {test.get('code')})"
    return f"{passed}{f', {count} failing' if count else ''}, {length(test.get('seconds') or 0)}"


def cell(text: str) -> str:
    """Return words that cannot break out of a table's cell or a code span."""
    return " ".join(str(text).replace("`", "'").replace("|", "¦").split())[:200]


def files(run: Mapping[str, Any]) -> str:
    """Return what was changed, file by file."""
    listed = (run["changes"] or {}).get("files") or []
    if not listed:
        return ""
    lines = [f"- `{cell(each['path'])}` {counted(each)}".rstrip() for each in listed[:MOST_FILES]]
    if len(listed) > MOST_FILES:
        lines.append(f"- and {len(listed) - MOST_FILES} more")
    return "<details><summary>{} changed</summary>\n\n{}\n\n</details>".format(
        "1 file" if len(listed) == 1 else f"{len(listed)} files", "\n".join(lines)
    )


def counted(each: Mapping[str, Any]) -> str:
    """Say how many lines of a file came and went."""
    if each.get("added") is None:
        return "(binary)"
    return f"+{each['added']} −{each['deleted']}"


def figures(run: Mapping[str, Any], run_url: str) -> str:
    """Return cost, tokens, model and the way to the run."""
    read = run["input_tokens"] + run["cache_read_tokens"] + run["cache_write_tokens"]
    cached = f", {run['cache_read_tokens'] / read:.0%} from the cache" if read else ""
    return (
        f"<sub>{money(run['cost_usd'])} · {run['turns']} turns · {tokens(read)} tokens in{cached}, "
        f"{tokens(run['output_tokens'])} out · `{run['model']}` · prompt {run['prompt_name']} · "
        f"[the run]({run_url})</sub>"
    )


def filled(template: str) -> str:
    """Return the repository's own template for pull requests, below what was to be said."""
    return f"---\n\n{template.strip()}"


def check_title(run: Mapping[str, Any]) -> str:
    """Return the one line of the check on the branch."""
    return f"Tests: {run['verdict'] or 'not run'} · {money(run['cost_usd'])}"
