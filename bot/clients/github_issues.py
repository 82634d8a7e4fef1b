"""Issues that this very app made on GitHub, found again by a marker in them.

<https://docs.github.com/en/rest/issues/issues#list-repository-issues>
"""

from pydantic import BaseModel

from bot.clients.github import PAGE, Installation, repository_path
from bot.clients.github_answers import understood
from bot.clients.github_work import Issue, app_slug

MOST_PAGES = 10


class Listed(BaseModel):
    """A page of issues."""

    listed: list[Issue]


async def find_issue(github: Installation, full_name: str, marker: str) -> Issue | None:
    """Return the issue of our own whose body begins with a marker; None where there is none.

    Anybody can write a marker: what others wrote, or what stands further down, is never taken for
    ours. The newest thousand are looked through.
    """
    bot = f"{await app_slug(github)}[bot]"
    path = repository_path(full_name, "/issues")
    for page in range(1, MOST_PAGES + 1):
        asked = {"creator": bot, "state": "all", "sort": "created", "direction": "desc"}
        body = {"listed": await github.ask(path, page=page, per_page=PAGE, **asked)}
        listed = understood(Listed, body, path).listed
        for each in listed:
            ours = each.user is not None and each.user.login == bot and each.user.type == "Bot"
            if ours and each.pull_request is None and (each.body or "").startswith(marker):
                return each
        if len(listed) < PAGE:
            return None
    return None
