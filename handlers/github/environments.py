"""Tell which environments count as production by their flags and names (METRICS.md R1)."""

import re
from functools import lru_cache
from itertools import pairwise

PRODUCTION = frozenset({"prod", "prods", "production", "live", "prd"})
STAGING = frozenset(
    {"staging", "stage", "stg", "preprod", "preproduction", "preprd", "nonprod", "nonproduction"}
    | {"nonprd", "uat", "qa", "test", "testing", "acceptance"}
)
ELSEWHERE = frozenset(
    {"dev", "develop", "development", "preview", "previews", "review", "reviews", "sandbox", "demo"}
)
NEGATIONS = frozenset({"pre", "non", "not", "no"})
SHIPPED_TO = frozenset({"staging", "stage", "stg", "preprod", "preproduction", "nonprod", "uat"})
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
LETTERS = re.compile(r"[a-z]+")


def words(name: str) -> list[str]:
    """Return the words of a name: `acme-PreProd_eu1` is acme, pre, prod, eu."""
    return LETTERS.findall(CAMEL.sub(" ", name).lower())


@lru_cache(maxsize=4096)
def class_of_name(name: str) -> str:
    """Return production, staging or other for an environment's name."""
    spoken = words(name)
    known = set(spoken)
    if known & STAGING or denied(spoken):
        return "staging"
    if known & ELSEWHERE:
        return "other"
    return "production" if known & PRODUCTION else "other"


def denied(spoken: list[str]) -> bool:
    """Say whether a name denies production: `pre-production`, `non prod`."""
    return any(before in NEGATIONS and after in PRODUCTION for before, after in pairwise(spoken))


def environment_class(name: str, *, transient: bool | None, production: bool | None) -> str:
    """Return production, staging, transient or other; what GitHub was told outranks the name.

    `production: false` says nothing: GitHub assumes it for every name but `production`.
    """
    if transient:
        return "transient"
    return "production" if production else class_of_name(name)


@lru_cache(maxsize=4096)
def shipped_to(workflow: str) -> tuple[str, str]:
    """Return environment and class that a deploying workflow ships to, by its name and file.

    Production unless it says otherwise; `test` does not, as in "Test and deploy".
    """
    spoken = words(workflow)
    known = set(spoken)
    if known & SHIPPED_TO or denied(spoken):
        return "staging", "staging"
    if known & ELSEWHERE:
        return min(known & ELSEWHERE), "other"
    return "production", "production"
