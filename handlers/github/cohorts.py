"""Tell people, bots and the agent apart (METRICS.md R8)."""

from handlers.github.payloads import User

AGENT_BRANCH = "claude/"
AGENTS = frozenset({"claude", "claude[bot]", "veelocity", "veelocity[bot]"})
BOTS = frozenset(
    {
        "allcontributors",
        "codecov-commenter",
        "codecov-io",
        "dependabot-preview",
        "dependabot-support",
        "github-actions",
        "googlebot",
        "greenkeeperio-bot",
        "imgbot",
        "k8s-ci-robot",
        "mergify",
        "pre-commit-ci",
        "pyup-bot",
        "renovate-bot",
        "semantic-release-bot",
        "snyk-bot",
        "web-flow",
        "weblate",
    }
)


def is_agent(user: User | None) -> bool:
    """Say whether a user is a developing agent by its name."""
    return user is not None and user.login.lower() in AGENTS


def is_bot(user: User | None) -> bool:
    """Say whether a user is a program: by its type, the end of its name, or a list."""
    if user is None:
        return False
    return user.type == "Bot" or is_program(user.login)


def is_program(login: str) -> bool:
    """Say whether a login is a program's: by the end of the name, or a list."""
    return login.lower().endswith("[bot]") or login.lower() in BOTS


def cohort(user: User | None, branch: str) -> str:
    """Return people, agent or bots: whose a pull request is.

    The agent's work is on branches `claude/…`; whatever else a program opens is a bot's.
    """
    if not (is_bot(user) or is_agent(user)):
        return "people"
    return "agent" if branch.startswith(AGENT_BRANCH) else "bots"


def commenter_cohort(user: User | None) -> str:
    """Return people, agent or bots: who reviewed or commented."""
    if is_agent(user):
        return "agent"
    return "bots" if is_bot(user) else "people"


def kind(user: User) -> str:
    """Return person, bot or agent: what a contributor is by name."""
    if is_agent(user):
        return "agent"
    return "bot" if is_bot(user) else "person"
