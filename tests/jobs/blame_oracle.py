"""METRICS.md R4 and R5 said again, as plainly and slowly as possible."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from models import DeploymentChange, Incident, IncidentLink, ServiceDeployment
from tests.jobs.blame_rows import History, derived, incident_row, key, link_row

CAN_FAIL = ("new", "rollforward")
Taken = tuple[ServiceDeployment, ServiceDeployment, str]


@dataclass
class Answer:
    """What must be found."""

    places: dict[str, tuple[str | None, str | None]]
    blames: dict[tuple[str, str], str]
    failed: dict[str, tuple[str, list[str], str | None, datetime | None]]


def services(rows: Sequence[ServiceDeployment]) -> list[str]:
    """Return the services of deployments."""
    return sorted({row.service_id for row in rows})


def told(incident: Incident, here: Sequence[ServiceDeployment]) -> list[ServiceDeployment]:
    """Return the deployments of the place that is told."""
    if incident.repository_id:
        within = [d for d in here if d.repository_id == incident.repository_id]
        return [d for d in within if d.service == incident.service] or within
    names = [(d, (d.service, d.repository_id.removeprefix("github:"))) for d in here]
    meant = [d for d, known in names if incident.service in known]
    return meant if len({d.repository_id for d in meant}) == 1 else []


def spoken(incident: Incident, here: Sequence[ServiceDeployment]) -> list[ServiceDeployment]:
    """Return the deployments of the place that the title names first."""
    for word in incident.title.lower().split():
        meant = [d for d in here if d.repository_id == key(word)]
        meant = meant or [d for d in here if d.service == word and word in ("web", "ios")]
        if meant:
            return meant
    return []


class Oracle:
    """All rows of a history, and the questions of METRICS.md."""

    def __init__(self, history: History) -> None:
        self.deployments: list[ServiceDeployment] = []
        self.changes: list[DeploymentChange] = []
        for repository in ("api", "shop"):
            here = [each for each in history.attempts if each.repository == repository]
            deployments, changes = derived(history, here)
            self.deployments += deployments
            self.changes += changes
        self.branches = {f"github:pr-{c.number}": c.branch for c in history.changes.values()}
        self.incidents = [incident_row(event) for event in history.incidents]
        self.links = [link_row(said) for said in history.said]
        self.window = timedelta(hours=history.window_hours)
        self.taken = [
            (failed, remedy, evidence)
            for remedy in self.deployments
            for failed, evidence in self.taken_back_by(remedy)
        ]

    def answer(self) -> Answer:
        """Judge everything."""
        places = {each.id: self.place(each) for each in self.incidents}
        blames = {
            (incident.id, deployment.id): evidence
            for incident in self.incidents
            for deployment, evidence in self.blamed(incident, places[incident.id])
        }
        failed = {}
        for each in self.deployments:
            mine = [i for i in self.incidents if (i.id, each.id) in blames]
            if each.kind in CAN_FAIL and (found := self.failure(each, mine)):
                failed[each.id] = found
        written = {
            incident: (repository, services[0] if len(services) == 1 else None)
            for incident, (repository, services) in places.items()
        }
        return Answer(written, blames, failed)

    def place(self, incident: Incident) -> tuple[str | None, list[str]]:
        """Return the repository and services of an incident."""
        everything = [d for d in self.deployments if d.state == "success"]
        here = [d for d in everything if d.environment_class == incident.environment_class]
        repository = incident.repository_id
        within = told(incident, here)
        if not repository and not within:
            found = [self.repository_of(incident, name) for name in incident.names]
            repository = next((each for each in found if each), None)
            within = [d for d in here if d.repository_id == repository]
        if not repository and not within:
            within = spoken(incident, here)
        if not repository and not within and len(services(here)) == 1:
            within = here
        if within:
            repository = within[0].repository_id
        return repository, services(within)

    def repository_of(self, incident: Incident, name: str) -> str | None:
        """Return the repository that a reference leads to."""
        kind, _, value = name.partition(":")
        if kind in ("number", "repository"):
            repository = key(value.partition("#")[0].removeprefix("acme/"))
            known = any(
                d.repository_id == repository and d.state == "success" for d in self.deployments
            )
            return repository if known else None
        found = [d.repository_id for d in self.meant(incident, name, None)]
        return min(found, default=None)

    def meant(self, incident: Incident, name: str, place: str | None) -> list[ServiceDeployment]:
        """Return the deployments that a reference leads to, of those finished by its end."""
        kind, _, value = name.partition(":")
        found = []
        for each in self.deployments:
            if incident.resolved_at and each.finished_at > incident.resolved_at:
                continue
            brought = [c for c in self.changes if c.service_deployment_id == each.id]
            if kind == "deployment" and each.deployment_id == f"github:{value}":
                found.append(each)
            if kind == "sha" and each.state == "success":
                shas = [each.sha, *(c.sha for c in brought)]
                if any(sha.startswith(value) for sha in shas):
                    found.append(each)
            if kind == "number":
                full_name, _, number = value.rpartition("#")
                repository = key(full_name.removeprefix("acme/")) if full_name else place
                numbers = [c.pull_request_number for c in brought]
                if each.repository_id == repository and int(number) in numbers:
                    found.append(each)
        return found

    def blamed(
        self, incident: Incident, place: tuple[str | None, list[str]]
    ) -> list[tuple[ServiceDeployment, str]]:
        """Return what an incident blames, with the evidence."""
        links = [link for link in self.links if link.incident_id == incident.id]
        unlinked = {link.deployment_id for link in links if not link.linked}
        freed = {d.service_id for d in self.deployments if d.deployment_id in unlinked}
        by_hand = self.linked([link for link in links if link.linked])
        named = self.named(incident, place[0])
        result = [(each, "hand") for each in by_hand.values()]
        for service, each in named.items():
            if service not in by_hand and service not in freed:
                result.append((each, "named"))
        if by_hand or named:
            return result
        guess = self.guess(incident, place[1])
        return [guess] if guess and guess[0].service_id not in freed else []

    def linked(self, links: Sequence[IncidentLink]) -> dict[str, ServiceDeployment]:
        """Return what is linked by hand, the latest link of each service."""
        found: dict[str, ServiceDeployment] = {}
        for link in sorted(links, key=lambda link: str(link.at)):
            for each in self.deployments:
                if each.deployment_id == link.deployment_id:
                    found[each.service_id] = each
        return found

    def named(self, incident: Incident, place: str | None) -> dict[str, ServiceDeployment]:
        """Return what is named, of each service the latest that could be the cause."""
        found: dict[str, ServiceDeployment] = {}
        for name in incident.names:
            for each in self.meant(incident, name, place):
                in_time = (
                    each.finished_at <= incident.started_at
                    or each.started_at <= incident.started_at
                )
                right = each.environment_class == incident.environment_class
                if not (in_time and right and each.kind):
                    continue
                other = found.get(each.service_id)
                if other is None or better(each, other):
                    found[each.service_id] = each
        return found

    def guess(
        self, incident: Incident, services: Sequence[str]
    ) -> tuple[ServiceDeployment, str] | None:
        """Return what was taken back while the incident ran, else the latest before it."""
        near = [
            d
            for d in self.deployments
            if d.service_id in services
            and d.kind in CAN_FAIL
            and d.environment_class == incident.environment_class
            and d.finished_at <= incident.started_at <= d.finished_at + self.window
        ]
        ended = [
            (remedy.finished_at, order(failed), failed)
            for failed, remedy, _ in self.taken
            if failed in near
            and remedy.finished_at >= incident.started_at
            and (incident.resolved_at is None or remedy.finished_at <= incident.resolved_at)
        ]
        if ended:
            return max(ended, key=lambda each: each[:2])[2], "remedy"
        return (max(near, key=order), "window") if near else None

    def taken_back_by(self, remedy: ServiceDeployment) -> list[tuple[ServiceDeployment, str]]:
        """Return the deployments that one took back."""
        before = [
            d
            for d in self.deployments
            if d.service_id == remedy.service_id and d.kind and order(d) < order(remedy)
        ]
        before.sort(key=order)
        failable = [d for d in before if d.kind in CAN_FAIL]
        if remedy.kind == "rollback":
            target = [d for d in before if d.sha == remedy.sha][-1]
            after = [d for d in failable if order(d) > order(target)]
            return [(after[0], "rollback")] if after else []
        found = []
        for change in self.changes:
            if change.service_deployment_id != remedy.id or not change.corrective:
                continue
            if change.title.startswith('Revert "Revert'):
                continue
            brought = self.reverted(change, [*before, remedy])
            if brought is None:
                found += [(d, "hotfix") for d in failable[-1:]]
            elif brought is not remedy and brought.kind in CAN_FAIL:
                found.append((brought, "revert"))
        return found

    def reverted(
        self, change: DeploymentChange, deployments: Sequence[ServiceDeployment]
    ) -> ServiceDeployment | None:
        """Return the last deployment that brought what a change says it reverts."""
        branch = self.branches[change.change_id].split("-")
        number = int(branch[1]) if branch[0] == "revert" and branch[1].isdigit() else None
        title = change.title.removeprefix('Revert "').removesuffix('"')
        by_number, by_title = None, None
        for each in deployments:
            for other in self.changes:
                if other.service_deployment_id == each.id:
                    if number is not None and other.pull_request_number == number:
                        by_number = each
                    if change.title.startswith('Revert "') and other.title == title:
                        by_title = each
        return by_number or by_title

    def failure(
        self, deployment: ServiceDeployment, incidents: Sequence[Incident]
    ) -> tuple[str, list[str], str | None, datetime | None] | None:
        """Return evidence, incidents, remedy and the end of a failure."""
        taken = [
            (("rollback", "revert", "hotfix").index(evidence), remedy.finished_at, remedy)
            for failed, remedy, evidence in self.taken
            if failed is deployment
        ]
        taken.sort(key=lambda each: (each[0], each[1], each[2].id))
        remedy = taken[0][2] if taken else None
        if incidents:
            ends = [incident.resolved_at for incident in incidents]
            over = None if None in ends else max(e for e in ends if e)
            if over and over < deployment.finished_at:
                over = deployment.finished_at
            ordered = sorted(incidents, key=lambda each: (each.started_at, each.id))
            ids = [each.id for each in ordered]
            return "incident", ids, remedy.id if remedy else None, over
        if not remedy:
            return None
        evidence = ("rollback", "revert", "hotfix")[taken[0][0]]
        return evidence, [], remedy.id, remedy.finished_at


def order(deployment: ServiceDeployment) -> tuple[datetime, str, str]:
    """Return what deployments are ordered by."""
    return deployment.finished_at, deployment.deployment_id, deployment.id


def better(each: ServiceDeployment, other: ServiceDeployment) -> bool:
    """Tell which of two named deployments of a service is blamed."""
    return (each.kind in CAN_FAIL, order(each)) > (other.kind in CAN_FAIL, order(other))
