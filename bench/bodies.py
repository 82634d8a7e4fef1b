"""Bodies of the size GitHub sends: the sample's payloads, with the addresses it leaves out.

GitHub repeats some fifty addresses of a repository wherever it mentions one, and a dozen of a
user: https://docs.github.com/en/webhooks/webhook-events-and-payloads
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_json

from bot.sample.world import Delivery

API = "https://api.github.com"
OF_A_REPOSITORY = """
    archive:/{archive_format}{/ref} assignees:{/user} blobs:/git{/sha} branches:{/branch}
    collaborators:{/collaborator} comments:{/number} commits:{/sha} compare:/{base}...{head}
    contents:/{+path} contributors deployments downloads events forks git_commits:/git{/sha}
    git_refs:/git{/sha} git_tags:/git{/sha} hooks issue_comment:/issues/comments{/number}
    issue_events:/issues/events{/number} issues:{/number} keys:{/key_id} labels:{/name} languages
    merges milestones:{/number} notifications:{?since,all,participating} pulls:{/number}
    releases:{/id} stargazers statuses:/{sha} subscribers subscription tags teams trees:/git{/sha}
"""
OF_A_USER = """
    events:{/privacy} followers following:{/other_user} gists:{/gist_id} organizations
    received_events repos starred:{/owner}{/repo} subscriptions
"""
SETTINGS = """
    has_issues has_projects has_downloads has_wiki has_pages has_discussions is_template
    allow_forking web_commit_signoff_required allow_squash_merge allow_merge_commit
    allow_rebase_merge allow_auto_merge delete_branch_on_merge allow_update_branch
    use_squash_pr_title_as_default
"""
PUSH_BYTES, PULL_REQUEST_BYTES = 13_000, 24_000
DESCRIPTION = (
    "The service answers slowly while its pool of connections is empty, so requests wait in line.\n"
)


def addresses(names: str, base: str) -> dict[str, str]:
    """Return the addresses below one."""
    pairs = (name.partition(":")[::2] for name in names.split())
    return {f"{name}_url": f"{base}/{name}{more}" for name, more in pairs}


def widened(value: Any) -> Any:
    """Return a payload in which repositories and users have the fields the sample leaves out."""
    if isinstance(value, list):
        return [widened(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    wide = {name: widened(item) for name, item in value.items()}
    if "full_name" in value:
        base = f"{API}/repos/{value['full_name']}"
        return dict.fromkeys(SETTINGS.split(), False) | addresses(OF_A_REPOSITORY, base) | wide
    if "login" in value and "type" in value:
        return addresses(OF_A_USER, f"{API}/users/{value['login']}") | wide
    return wide


def push(delivery: Delivery) -> bytes:
    """Return a push whose body is filled up to GitHub's usual size with more commits."""
    payload = widened(delivery.payload)
    first = payload["commits"][0]
    more = dict(first, message="")
    space = PUSH_BYTES - len(to_json(payload))
    for number in range(max(0, space // len(to_json(more)))):
        payload["commits"].append(dict(more, id=f"{number:040x}"))
    payload["commits"][-1]["message"] += filling(PUSH_BYTES, payload)
    return to_json(payload)


def pull_request(delivery: Delivery) -> bytes:
    """Return a pull request whose body is filled up to GitHub's usual size with its description."""
    payload = widened(delivery.payload)
    payload["pull_request"]["body"] = ""
    payload["pull_request"]["body"] = filling(PULL_REQUEST_BYTES, payload)
    return to_json(payload)


def filling(wanted: int, payload: Any) -> str:
    """Return the prose that a payload lacks for its size."""
    missing = max(0, wanted - len(to_json(payload)))
    return (DESCRIPTION * (missing // len(DESCRIPTION) + 1))[:missing].rstrip()


def in_turn(deliveries: Sequence[Delivery], pairs: int = 8) -> list[tuple[str, bytes]]:
    """Return pushes and pull requests of the sample in turn, each with its event."""
    pushes = [d for d in deliveries if d.event == "push" and d.payload["commits"]]
    pulls = [d for d in deliveries if d.event == "pull_request"]
    found = zip(pushes[-pairs:], pulls[-pairs:], strict=True)
    both = ((("push", push(one)), ("pull_request", pull_request(two))) for one, two in found)
    return [letter for pair in both for letter in pair]
