"""What Slack and Linear tell of the same story."""

from collections import Counter
from datetime import datetime, timedelta

from bot.sample import talk
from bot.sample.story import Story


def test_the_three_sources_are_told_in_the_order_of_time(told: Story) -> None:
    times = [delivery.at for delivery in told.everything]
    assert times == sorted(times)
    assert len(times) == len(told.deliveries) + len(told.others)
    sources = Counter(delivery.source for delivery in told.everything)
    assert sources["github"] == len(told.deliveries)
    assert sources["slack"] > 80
    assert sources["linear"] > 500
    ids = [delivery.delivery_id for delivery in told.everything]
    assert len(set(ids)) == len(ids)


def test_the_app_is_installed_before_anything_else(told: Story) -> None:
    assert [delivery.event for delivery in told.everything[:2]] == ["ping", "installation"]


def test_each_incident_that_is_spoken_of_begins_and_ends_in_a_channel(told: Story) -> None:
    assert len(told.record.spoken) > 5
    said = {
        f"slack:{talk.TEAM}:{event['channel']}:{event['ts']}": event
        for event in (each.payload["event"] for each in told.others if each.source == "slack")
        if event["type"] == "message"
    }
    for spoken in told.record.spoken:
        message = said[spoken.key]
        assert spoken.severity in message["text"].lower()
        assert float(message["ts"]) // 1 == spoken.opened_at.timestamp()
        assert spoken.resolved_at is None or spoken.resolved_at > spoken.opened_at


def test_the_branch_of_a_planned_change_names_its_issue(told: Story) -> None:
    done = {
        each.payload["data"]["identifier"].lower(): each.payload["data"]
        for each in told.others
        if each.event == "Issue" and each.payload["data"].get("completedAt")
    }
    merged = [
        each.payload["pull_request"]
        for each in told.deliveries
        if each.event == "pull_request"
        and each.payload["action"] == "closed"
        and each.payload["pull_request"]["merged"]
    ]
    named = [pr for pr in merged if pr["head"]["ref"].startswith("eng-")]
    assert len(named) > 100
    for pr in named:
        issue = done[pr["head"]["ref"].partition("/")[0]]
        apart = datetime.fromisoformat(pr["merged_at"]) - datetime.fromisoformat(
            issue["completedAt"]
        )
        assert abs(apart) < timedelta(minutes=1)


def test_an_issue_is_created_before_it_is_started_and_ended(told: Story) -> None:
    for delivery in told.others:
        if delivery.event != "Issue":
            continue
        data = delivery.payload["data"]
        moments = [data["createdAt"], data.get("startedAt"), data.get("completedAt")]
        known = [moment for moment in moments if moment]
        assert known == sorted(known)
        assert datetime.fromisoformat(known[-1]) <= delivery.at
