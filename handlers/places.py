"""Which repository and services an incident is about, and how that is known. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from handlers.github.environments import PRODUCTION, STAGING, words

WEB_ADDRESS = re.compile(r"https?://\S+")
WORD = re.compile(r"[\w.-]+")
GENERIC = PRODUCTION | STAGING | {"transient", "other"}
NOWHERE = "nothing tells which repository or service it is about"


@dataclass(frozen=True)
class Known:
    """A service that was deployed. `former`: full names that its repository had before."""

    id: str
    repository_id: str
    full_name: str
    service: str
    environment_class: str
    former: tuple[str, ...] = ()

    @property
    def repository(self) -> str:
        """The repository's name without its owner."""
        return self.full_name.rpartition("/")[2].lower()

    @property
    def former_repository(self) -> set[str]:
        """The names without an owner that the repository had before."""
        return {name.rpartition("/")[2] for name in self.former}


@dataclass(frozen=True)
class Told:
    """What an incident tells of where it happened; `repository_id` and `service` only if told."""

    environment_class: str
    repository_id: str | None
    service: str | None
    names: Sequence[str]
    title: str
    detail: str
    channel: str


@dataclass(frozen=True)
class Place:
    """Where an incident happened: the services in question, and the one it must be if it is one."""

    repository_id: str | None
    services: tuple[str, ...]
    reason: str

    @property
    def service_id(self) -> str | None:
        """The service, None where it may be several."""
        return self.services[0] if len(self.services) == 1 else None


def is_generic(name: str) -> bool:
    """Tell whether a name of an environment says no more than its class (`prod`, `Production`)."""
    spoken = words(name)
    return bool(spoken) and set(spoken) <= GENERIC


def same_environment(told: str, environment: str) -> bool:
    """Tell whether two names may mean one environment of a class: `prod` may be any production."""
    if is_generic(told) or is_generic(environment):
        return True
    return told.casefold() == environment.casefold()


def place_of(told: Told, services: Sequence[Known], found: Mapping[str, str]) -> Place:
    """Return where an incident happened, from what tells most surely.

    `services`: all that were deployed. `found`: the repositories (ids) of the commits and
    deployments that the incident refers to, by reference.
    """
    here = [each for each in services if each.environment_class == told.environment_class]
    return (
        told_place(told, here)
        or named_place(told, services, found)
        or worded_place(told, here)
        or only_place(here, told.environment_class)
        or Place(None, (), NOWHERE)
    )


def told_place(told: Told, here: Sequence[Known]) -> Place | None:
    """Return the place that the source, a mapping or a person told."""
    reason = "its source or a person said so"
    name = (told.service or "").casefold()
    if told.repository_id:
        within = [each for each in here if each.repository_id == told.repository_id]
        meant = [each for each in within if each.service.casefold() == name]
        return placed(told.repository_id, meant or within, reason)
    meant = [each for each in here if name and name in (each.service.casefold(), each.repository)]
    meant = meant or [each for each in here if name in each.former_repository]
    if len({each.repository_id for each in meant}) == 1:
        return placed(meant[0].repository_id, meant, reason)
    return None


def named_place(told: Told, services: Sequence[Known], found: Mapping[str, str]) -> Place | None:
    """Return the repository that the first reference which is known leads to."""
    full_names = by_full_name(services)
    for reference in told.names:
        kind, _, value = reference.partition(":")
        repository_id = found.get(reference)
        if kind in ("number", "repository"):
            repository_id = full_names.get(value.partition("#")[0])
        if repository_id:
            within = [each for each in services if each.repository_id == repository_id]
            here = [each for each in within if each.environment_class == told.environment_class]
            name = within[0].full_name if within else "a repository"
            return placed(repository_id, here, f"its words refer to {name}")
    return None


def by_full_name(services: Iterable[Known]) -> dict[str, str]:
    """Return repositories by full name; a former name means its repository until another has it."""
    services = list(services)
    former = {name: each.repository_id for each in services for name in each.former}
    return former | {each.full_name.lower(): each.repository_id for each in services}


def worded_place(told: Told, here: Sequence[Known]) -> Place | None:
    """Return the repository or service whose name stands in title, detail or channel as a word."""
    meant = meanings(here)
    for where, spoken in (
        ("title", spoken_words(told.title)),
        ("text", spoken_words(told.detail)),
        ("channel", parts(told.channel)),
    ):
        for word in spoken:
            if within := meant.get(word):
                return placed(within[0].repository_id, within, f"its {where} names {word}")
    return None


def meanings(here: Sequence[Known]) -> dict[str, list[Known]]:
    """Return which services each name means; a name that means several repositories means none.

    A repository's name means all its services, also where one of them has the same name; one that
    it had before means them where it means nothing else.
    """
    repositories: dict[str, list[Known]] = {}
    named: dict[str, list[Known]] = {}
    former: dict[str, list[Known]] = {}
    for each in here:
        for name in each.former_repository:
            former.setdefault(name, []).append(each)
        repositories.setdefault(each.repository, []).append(each)
        if not is_generic(each.service):
            named.setdefault(each.service.lower(), []).append(each)
    for name in former.keys() - repositories.keys() - named.keys():
        repositories[name] = former[name]
    meant = {}
    for name in named.keys() | repositories.keys():
        both = [*repositories.get(name, ()), *named.get(name, ())]
        if len({each.repository_id for each in both}) == 1:
            meant[name] = repositories.get(name) or named[name]
    return meant


def only_place(here: Sequence[Known], environment_class: str) -> Place | None:
    """Return the only service there is."""
    if len(here) != 1:
        return None
    reason = f"it is the only {environment_class} service there is"
    return placed(here[0].repository_id, here, reason)


def placed(repository_id: str, services: Iterable[Known], reason: str) -> Place:
    """Return a place, its services in a fixed order."""
    return Place(repository_id, tuple(sorted(each.id for each in services)), reason)


def spoken_words(text: str) -> Iterator[str]:
    """Yield the words of a text without its addresses, in order."""
    for found in WORD.findall(WEB_ADDRESS.sub(" ", text).lower()):
        yield found.strip(".-_")


def parts(channel: str) -> Iterator[str]:
    """Yield what a channel's name is made of: `incident-my-api` holds `my-api`, and then `api`."""
    pieces = [piece for piece in channel.lower().split("-") if piece]
    for length in range(len(pieces), 0, -1):
        for start in range(len(pieces) - length + 1):
            yield "-".join(pieces[start : start + length])
