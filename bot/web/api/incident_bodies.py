"""What is sent to the API of incidents: which are listed, reports, corrections and updates."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AwareDatetime, StringConstraints, model_validator

from bot.web.api.endpoints import Strict, Words
from bot.web.api.incident_answers import Severity, State
from bot.web.api.listing import RepositoryListing

Title = Annotated[str, StringConstraints(pattern=r"^[^\x00]*[^\x00\s][^\x00]*$", max_length=200)]
Long = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", max_length=20_000)]
Name = Annotated[str, StringConstraints(pattern=r"^[^\x00]*[^\x00\s][^\x00]*$", max_length=200)]
Own = Annotated[str, StringConstraints(pattern=r"^[\w.:@+-]+$", max_length=200)]
Address = Annotated[str, StringConstraints(pattern=r"^https?://[^\s\x00]+$", max_length=2000)]
AHEAD = timedelta(minutes=5)


class IncidentListing(RepositoryListing):
    """Which incidents, those begun last first. `severity`: none for those without one.

    `service`: a service's name or id. `since`, `until`: when they began. `dismissed`: those that a
    person said are none, instead of the others.
    """

    state: Literal["open", "resolved", "all"] = "all"
    severity: Severity | Literal["none"] | None = None
    service: Words | None = None
    environment: Words | None = None
    source: Literal["slack", "github", "linear", "api"] | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    dismissed: bool = False


class SlackListing(IncidentListing):
    """Which of Slack's incidents, those begun last first."""

    source: Literal["slack"] = "slack"


class Times(Strict):
    """When an incident began and ended."""

    started_at: AwareDatetime | None = None
    resolved_at: AwareDatetime | None = None

    @model_validator(mode="after")
    def in_order(self) -> "Times":
        """Nothing ends before it began, nor happens in the future."""
        if self.started_at and self.resolved_at and self.resolved_at < self.started_at:
            raise ValueError("resolved_at: it cannot end before it began")
        for name in ("started_at", "resolved_at"):
            value = getattr(self, name)
            if value and value > datetime.now(UTC) + AHEAD:
                raise ValueError(f"{name}: it is in the future")
        return self


class NewIncident(Times):
    """An incident to report. `id`: your own for it; the same one again updates it.

    `started_at`: now where it is left out. `environment`: a class (production, staging, other) or
    an environment's name. `repo_id`: `github:123` or `owner/name`, where it is known.
    """

    id: Own | None = None
    title: Title
    description: Long = ""
    severity: Severity | None = None
    environment: Name = "production"
    repo_id: Words | None = None
    service: Name | None = None
    url: Address | None = None


class ChangedIncident(Times):
    """What to correct of an incident; what is left out stays, null takes the correction back.

    A correction wins over what the source says, now and later. `dismissed`: it is no incident.
    """

    title: Title | None = None
    severity: Severity | None = None
    environment: Name | None = None
    repo_id: Words | None = None
    service: Name | None = None
    dismissed: bool | None = None


class Update(Strict):
    """How far an incident is. `state` left out: a note that changes no state.

    `resolved` ends it now; another state afterwards opens it again.
    """

    state: State | None = None
    body: Long = ""

    @model_validator(mode="after")
    def says_something(self) -> "Update":
        """An update has a state or words."""
        if self.state is None and not self.body.strip():
            raise ValueError("say a state, or something in the body")
        return self


class NewPostMortem(Strict):
    """What was learnt, in Markdown."""

    body: Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", max_length=100_000)]
