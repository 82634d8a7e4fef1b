"""`count_workflow_runs`: finished runs of workflows that a rule of their repository names."""

from bot.jobs import Surroundings, job
from bot.jobs.history import kept_rule, named_runs
from handlers.events import Job
from models.graph import SLACK
from models.queue import ClaimedJob, queue


@job
async def count_workflow_runs(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Have a repository measured again where its rule names the workflow of a run since a time.

    Every finished run of a branch asks for this, and hardly any repository has such a rule.
    """
    repository_id = str(claimed.arguments["repository"])
    since = claimed.since - SLACK if claimed.since else None
    async with surroundings.engine.begin() as db:
        rule = await kept_rule(db, repository_id)
        if await named_runs(db, repository_id, rule, since):
            await queue(db, [measured_again(repository_id, claimed)], claimed.organization_id)


def measured_again(repository_id: str, claimed: ClaimedJob) -> Job:
    """Order that a repository be measured again since the time of a job."""
    return Job(
        "collect_changes",
        key=f"collect_changes:{repository_id}",
        arguments={"repository": repository_id},
        since=claimed.since,
    )
