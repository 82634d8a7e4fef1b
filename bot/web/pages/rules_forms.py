"""What the form of a deployment rule says, and what is wrong with it, field by field."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from starlette.datastructures import FormData

from bot.web.api.endpoints import faults
from bot.web.api.rules import KnownRule
from bot.web.api.services import Described, Services
from bot.web.pages.settings_forms import text
from handlers.rules import CHOICES, checked_patterns
from models.errors import Refused

LISTS = ("production", "ignored", "workflows")
COLUMNS = ("service", "environment", "paths")
EMPTY = dict.fromkeys(COLUMNS, "")


@dataclass(frozen=True)
class Draft:
    """A form as it was sent or is shown: what it says, what can be read of it, and its errors."""

    do: str
    said: dict[str, str]
    rows: list[dict[str, str]]
    rule: dict[str, Any] = field(default_factory=dict)
    services: list[Described] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)


def of_rule(kept: KnownRule, services: Services) -> Draft:
    """Return the form of what is kept."""
    told = {name: getattr(kept, name) for name in LISTS}
    said = {"source": str(kept.source)} | {name: "\n".join(each) for name, each in told.items()}
    rows = [
        {"service": each.name, "environment": each.environment, "paths": ", ".join(each.paths)}
        for each in services.services
    ]
    rule = {"source": kept.source, **told}
    return Draft("show", said, [*rows, EMPTY], rule, list(services.services))


def read(form: FormData) -> Draft:
    """Read a form that was sent."""
    said = {name: text(form, name) for name in ("source", *LISTS)}
    told = [[str(value).strip() for value in form.getlist(name)] for name in COLUMNS]
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*told, strict=False)]
    rows = [row for row in rows if any(row.values())]
    draft = Draft(text(form, "do")[:20] or "save", said, [*rows, EMPTY])
    read_rule(draft)
    read_services(draft, rows)
    return draft


def read_rule(draft: Draft) -> None:
    """Read source and patterns, or note what is wrong with them."""
    draft.rule["source"] = draft.said["source"]
    if draft.said["source"] not in CHOICES:
        draft.errors["source"] = f"It is one of {', '.join(CHOICES)}."
    for name in LISTS:
        told = [line for line in draft.said[name].splitlines() if line.strip()]
        try:
            draft.rule[name] = checked_patterns(told)
        except Refused as refused:
            draft.errors[name] = str(refused)


def read_services(draft: Draft, rows: list[dict[str, str]]) -> None:
    """Read the services, or note what is wrong with them."""
    told = [
        {
            "name": row["service"],
            "environment": row["environment"],
            "paths": [path.strip() for path in row["paths"].split(",") if path.strip()],
        }
        for row in rows
    ]
    try:
        draft.services.extend(Services.model_validate({"services": told}).services)
    except ValidationError as error:
        draft.errors["services"] = " ".join(
            f"{placed(each['field'])}{each['detail'].rstrip('.')}." for each in faults(error)[:3]
        )


def placed(said: str) -> str:
    """Name a field of a service as the form does: `services.0.name` is `Row 1, name: `."""
    parts = said.split(".")
    if len(parts) < len(COLUMNS):
        return ""
    return f"Row {int(parts[1]) + 1}, {parts[2]}: "
