"""What a repository says of how it is developed: `.github/veelocity.yml` of the default branch.

Nothing in it stops a run: what is unknown or wrong is said in a sentence, and the rest still holds.
"""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Annotated, Any

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
)
from pydantic_core import PydanticCustomError
from yaml.events import (
    AliasEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

PATH = ".github/veelocity.yml"
MOST_BYTES = 65_536
MOST_DEPTH = 12
MOST_ITEMS = 100
MOST_FAULTS = 20
SCHEMA_ID = "/schemas/veelocity.json"
HOST = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]$")


def wrong(sentence: str) -> PydanticCustomError:
    """Return the error by which a validator says what is wrong, in our own words."""
    return PydanticCustomError("wrong", "{sentence}", {"sentence": sentence})


def listed(value: Any) -> Any:
    """Read one text as a list of one; nothing as an empty list."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value


def host(value: Any) -> Any:
    """Refuse what is not the plain name of a host: no address, port, path or wildcard."""
    if not isinstance(value, str) or not HOST.match(value.lower()):
        raise wrong(f"“{shown(value)}” is not the name of a host, such as files.example.com")
    return value.lower()


def inside(value: Any) -> Any:
    """Refuse a path that leaves the repository."""
    if not isinstance(value, str) or re.search(r"^[/~]|\\|(^|/)\.\.(/|$)|[\x00-\x1f]", value):
        raise wrong(f"“{shown(value)}” is not a path inside the repository")
    return value.removeprefix("./")


def few(values: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse lists that nobody would write by hand."""
    if len(values) > MOST_ITEMS:
        raise wrong(f"at most {MOST_ITEMS} are read")
    return values


def money(value: Any) -> Any:
    """Refuse truth values, which YAML makes of `yes` and Python takes for numbers."""
    if isinstance(value, bool):
        raise wrong("must be a number")
    return value


def shown(value: Any) -> str:
    """Return a wrong value as it can be shown: short, on one line, and possible to write."""
    return " ".join(str(value).encode(errors="replace").decode().split())[:60]


Command = Annotated[str, Field(min_length=1, max_length=4000)]
Commands = Annotated[
    tuple[Command, ...],
    BeforeValidator(listed, json_schema_input_type=Command | list[Command] | None),
    AfterValidator(few),
]
Host = Annotated[str, BeforeValidator(host, json_schema_input_type=str)]
Hosts = Annotated[
    tuple[Host, ...],
    BeforeValidator(listed, json_schema_input_type=str | list[str] | None),
    AfterValidator(few),
]
Path = Annotated[str, BeforeValidator(inside, json_schema_input_type=str), Field(max_length=400)]
Glob = Annotated[str, Field(min_length=1, max_length=400)]
Globs = Annotated[
    tuple[Glob, ...],
    BeforeValidator(listed, json_schema_input_type=Glob | list[Glob] | None),
    AfterValidator(few),
]
Label = Annotated[str, Field(min_length=1, max_length=50)]
Labels = Annotated[
    tuple[Label, ...],
    BeforeValidator(listed, json_schema_input_type=Label | list[Label] | None),
    AfterValidator(few),
]
Reviewer = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,38}(/[A-Za-z0-9._-]{1,100})?$")
]
Reviewers = Annotated[
    tuple[Reviewer, ...],
    BeforeValidator(listed, json_schema_input_type=Reviewer | list[Reviewer] | None),
    AfterValidator(few),
]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Dollars = Annotated[Decimal, Field(gt=0, le=1000)]
DollarsAsWritten = Annotated[float, Field(gt=0, le=1000)]
BY_ITEM = ("hosts", "protected", "labels", "reviewers")
"""Lists of which the good items hold where others are wrong; commands hold all or not at all."""


class Configuration(BaseModel):
    """How this repository is developed by Veelocity. Every key may be left out."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Veelocity")

    test: Commands = Field(
        default=(),
        description="The command that runs the tests, or several that run one after the other "
        "in one shell until one fails. Left out, it is detected.",
    )
    test_seconds: Annotated[Seconds, BeforeValidator(money, json_schema_input_type=Seconds)] = (
        Field(default=600.0, description="How long the tests may take, in seconds.")
    )
    setup: Commands = Field(
        default=(),
        description="Commands that prepare the repository before any work begins. Only they may "
        "reach the network, and only the hosts that are listed. Also accepted as "
        "`{commands: [...], hosts: [...]}`.",
    )
    hosts: Hosts = Field(
        default=(), description="The hosts that setup may reach by HTTPS, by their full names."
    )
    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.:/@-]{0,99}$")] | None = Field(
        default=None, description="The model to use, out of the organisation's allow-list."
    )
    budget_usd: (
        Annotated[Dollars, BeforeValidator(money, json_schema_input_type=DollarsAsWritten)] | None
    ) = Field(
        default=None,
        description="What a ticket may cost, in US dollars. It can lower the organisation's "
        "budget, never raise it.",
    )
    auto: StrictBool = Field(
        default=True,
        description="Whether a labelled issue is developed at once; otherwise it waits in the "
        "queue until somebody starts it.",
    )
    labels: Labels = Field(
        default=(), description="Labels that start work, beside the one of this Veelocity."
    )
    protected: Globs = Field(
        default=(),
        description="Files that a run must not change, as globs. They are added to those that "
        "are always protected.",
    )
    prompt: Path | None = Field(
        default=None, description="The path of a prompt template in this repository."
    )
    reviewers: Reviewers = Field(
        default=(), description="Who is asked to review: logins, and teams as `organisation/team`."
    )

    @property
    def test_command(self) -> str | None:
        """The tests as one command of a shell; None where none was given."""
        if len(self.test) < 2:
            return self.test[0] if self.test else None
        return " && ".join(f"{{ {command}\n}}" for command in self.test)


def read_configuration(body: bytes | None) -> tuple[Configuration, list[str]]:
    """Read the file; return what holds, and a sentence for everything in it that does not.

    None means that there is no such file.
    """
    if body is None:
        return Configuration(), []
    try:
        told = loaded(body)
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        return Configuration(), [f"{PATH} is not read: {said(error)}."]
    if told is None:
        return Configuration(), []
    if not isinstance(told, dict):
        return Configuration(), [f"{PATH} is not read: it must be a list of `key: value`."]
    return built(lifted(told))


def loaded(body: bytes) -> Any:
    """Read YAML within bounds: size, depth, and no aliases, of which few lines make gigabytes."""
    if len(body) > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES // 1024} KB")
    written = body.decode()
    depth = 0
    for event in yaml.parse(written, Loader=yaml.SafeLoader):
        depth += step(event)
        if depth > MOST_DEPTH:
            raise ValueError("it is nested too deeply")
        if isinstance(event, AliasEvent):
            raise ValueError("aliases (`*name`) are not allowed")
    return yaml.safe_load(written)


def step(event: Event) -> int:
    """Return by how much an event of YAML goes deeper."""
    if isinstance(event, MappingStartEvent | SequenceStartEvent):
        return 1
    return -1 if isinstance(event, MappingEndEvent | SequenceEndEvent) else 0


def said(error: Exception) -> str:
    """Say in one line what is wrong with a file, and where."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    where = f" (line {mark.line + 1})" if mark else ""
    return f"{shown(problem)}{where}"


def lifted(told: dict[Any, Any]) -> dict[Any, Any]:
    """Read `setup: {commands, hosts}` as the two keys that it stands for."""
    setup = told.get("setup")
    if not isinstance(setup, dict):
        return told
    inner = {f"setup.{key}": value for key, value in setup.items()}
    commands, hosts = inner.pop("setup.commands", None), inner.pop("setup.hosts", None)
    rest = {key: value for key, value in told.items() if key != "setup"}
    both = {"hosts": [*(listed(rest.pop("hosts", None))), *listed(hosts)]} if hosts else {}
    return {**rest, "setup": commands, **both, **inner}


def built(told: dict[Any, Any]) -> tuple[Configuration, list[str]]:
    """Return the configuration of the keys that hold, and sentences on the others."""
    good: dict[str, Any] = {}
    faults: list[str] = []
    for key, value in told.items():
        found = list(faults_of(key, value))
        faults += found
        if found and key in BY_ITEM and isinstance(value, list):
            good[key] = [item for item in value if not any(faults_of(key, [item]))][:MOST_ITEMS]
        elif not found and value is not None:
            good[key] = value
    if len(faults) > MOST_FAULTS:
        faults = [*faults[:MOST_FAULTS], f"{PATH}: and {len(faults) - MOST_FAULTS} faults more."]
    return Configuration(**good), faults


def faults_of(key: Any, value: Any) -> Iterator[str]:
    """Yield what is wrong with one key."""
    if not isinstance(key, str) or key not in Configuration.model_fields:
        yield f"{PATH}: there is no key `{shown(key)}`; known are {', '.join(known())}."
        return
    if value is None:
        return
    try:
        Configuration(**{key: value})
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False)[:3]:
            place = "".join(f", item {part + 1}" for part in detail["loc"][1:] if type(part) is int)
            yield f"{PATH}: `{key}`{place}: {detail['msg']}."


@cache
def known() -> tuple[str, ...]:
    """Return the keys there are, each as people read it."""
    return tuple(f"`{name}`" for name in Configuration.model_fields)


def schema() -> dict[str, Any]:
    """Return the JSON schema of the file, as it is published for editors."""
    written = resources.files("bot.agent").joinpath("configuration.schema.json").read_text()
    made: dict[str, Any] = json.loads(written)
    return made


def made_schema() -> dict[str, Any]:
    """Make the schema from the model; the published file is kept equal to it by a test."""
    made = Configuration.model_json_schema()
    keys = made["properties"]
    for key in keys.values():
        del key["title"]
    either = keys["setup"]["anyOf"]
    both = {"commands": {"anyOf": either[:2]}, "hosts": {"anyOf": keys["hosts"]["anyOf"]}}
    either.append({"type": "object", "properties": both, "additionalProperties": False})
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, **made}
