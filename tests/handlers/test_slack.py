"""What follows from each of Slack's events, and that no order of them leaves other tables."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.handlers.recorded import arrived
from tests.handlers.recorded_slack import (
    INCIDENTS,
    ORGANIZATION,
    PRIVATE,
    RANDOM,
    TEAM,
    decided,
    key,
    recorded,
    row,
    said,
    story,
    tables,
    ts,
)

STORY = arrived(story())
EXPECTED = tables(STORY)
ROOT = key(100, 1)


@settings(max_examples=25, deadline=None)
@given(st.permutations(STORY))
def test_every_order_of_the_story_leaves_the_same_tables(shuffled):
    assert tables(shuffled) == EXPECTED


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(STORY), max_size=30))
def test_events_that_come_again_change_nothing(again):
    assert tables([*again, *STORY, *again]) == EXPECTED


@pytest.mark.parametrize(
    ("table", "name", "part"),
    [
        ("slack_messages", ROOT, "checkout is down for all customers"),
        ("slack_messages", key(160, 2), '"words": "Rolling back."'),
        ("slack_messages", key(160, 2), f'"thread_id": "{ROOT}"'),
        ("slack_messages", key(200, 6), '"deleted": "True"'),
        ("slack_messages", key(200, 6), f'"thread_id": "{ROOT}"'),
        ("slack_messages", key(200, 6), '"words": ""'),
        ("slack_messages", key(220, 8), f'"thread_id": "{ROOT}"'),
        ("slack_messages", key(400, 10), '"author_name": "Alertmanager"'),
        ("slack_messages", key(400, 10), '"bot": "True"'),
        ("slack_messages", key(700, 20), '"deleted": "True"'),
        ("slack_messages", key(720, 22), '"deleted": "True"'),
        ("slack_messages", key(720, 22), '"words": ""'),
        ("slack_reactions", f"{ROOT}:white_check_mark:U0ADA0001", '"standing": "True"'),
        ("slack_reactions", f"{ROOT}:eyes:U0ADA0001", '"standing": "False"'),
        ("slack_channels", f"slack:{TEAM}:{RANDOM}", '"name": "incident-search"'),
        ("slack_channel_states", f"slack:{TEAM}:{RANDOM}:archived", '"holds": "False"'),
        ("slack_channel_states", f"slack:{TEAM}:{RANDOM}:deleted", '"holds": "True"'),
        ("slack_channel_states", f"slack:{TEAM}:{RANDOM}:member", '"holds": "False"'),
        ("slack_channel_states", f"slack:{TEAM}:{INCIDENTS}:member", '"holds": "True"'),
        ("slack_channel_states", f"slack:{TEAM}:{PRIVATE}:member", '"holds": "False"'),
        ("connections", f"slack:team:{TEAM}", '"state": "deleted"'),
        ("identities", f"{ORGANIZATION}/slack:{TEAM}:U0ADA0001", '"name": "Ada Vos-Noor"'),
        ("identities", f"{ORGANIZATION}/slack:{TEAM}:U0ADA0001", '"email": "ada@example.org"'),
        ("identities", f"{ORGANIZATION}/slack:{TEAM}:U0PAGER01", '"bot": "True"'),
    ],
)
def test_after_the_story_the_last_word_stands(table, name, part):
    assert part in EXPECTED[table, name][2]


def test_only_what_people_and_alarms_say_is_kept():
    kept = sorted(name for table, name in EXPECTED if table == "slack_messages")
    assert [each.rpartition(".")[2] for each in kept] == [
        f"{number:06d}" for number in (1, 2, 6, 8, 10, 11, 12, 13, 14, 18, 20, 22, 27)
    ]


def test_a_message_is_remembered_and_its_thread_judged():
    body = recorded("message")
    assert said("message", body) == [f"slack_messages {ROOT}", f"job follow_incident:{ROOT}"]
    message = row("message", body)
    assert message.posted_at == datetime.fromtimestamp(1789000100, UTC).replace(microsecond=1)
    assert (message.thread_id, message.ts, message.author_id) == (ROOT, ts(100, 1), "U0ADA0001")
    assert message.channel_key == f"slack:{TEAM}:{INCIDENTS}"
    assert (message.bot, message.deleted, message.edited_at) == (False, False, None)


def test_an_edited_reply_stays_in_its_thread_whatever_the_edit_leaves_out():
    body = recorded("message", 1, subtype="message_changed")
    assert row("message", body).thread_id == ROOT
    del body["event"]["message"]["thread_ts"]
    assert row("message", body).thread_id == ROOT


def test_a_storm_of_replies_is_one_order():
    body = recorded("message", 1, subtype="message_changed")
    keys = set()
    for number in range(1000):
        body["event"]["message"]["ts"] = ts(200, number)
        keys |= {job.key for job in decided("message", body).jobs}
    assert keys == {f"follow_incident:{ROOT}"}


def test_an_alarm_says_what_its_attachment_and_blocks_say():
    grafana = row("message", recorded("message", bot_id="B0GRAFANA"))
    assert grafana.author_name == "Grafana"
    assert grafana.words.splitlines() == [
        "[Alerting] p95 latency of billing",
        "Value is 3.1 s",
        "environment: production",
    ]
    pager = row("message", recorded("message", bot_id="B0PAGER01"))
    assert pager.words == "*Triggered #4711* database is full\nservice: search"


def test_what_slack_makes_of_a_link_is_not_what_somebody_said():
    body = recorded("message", 3, subtype="message_changed")
    assert row("message", body).words == "see https://status.example.org"


@pytest.mark.parametrize(
    ("body", "note"),
    [
        (recorded("message", user="U0VEELBOT"), "What our own bot says is no incident."),
        (
            recorded("message", 2, subtype="message_changed"),
            "What our own bot says is no incident.",
        ),
        (
            recorded("message", subtype="channel_join"),
            "A message of the kind 'channel_join' says nothing itself.",
        ),
        (
            recorded("message", channel_type="im"),
            "What people tell the bot alone is no incident.",
        ),
    ],
)
def test_what_says_nothing_is_noted(body, note):
    assert said("message", body) == [note]


def test_our_own_app_is_known_without_its_user_too():
    body = recorded("message", user="U0VEELBOT") | {"authorizations": []}
    assert not decided("message", body).rows
    body["event"]["app_id"] = body["event"]["bot_profile"]["app_id"] = "A0OTHERS1"
    assert decided("message", body).rows


@pytest.mark.parametrize("told", [{"is_stranger": True}, {"is_email_confirmed": False}])
def test_an_address_that_the_workspace_does_not_vouch_for_is_nobodys(told):
    body = recorded("user_change")
    assert row("user_change", body).email == "ada@example.org"
    body["event"]["user"] |= told
    assert row("user_change", body).email is None


def test_a_reaction_is_remembered_fetched_and_judged_without_its_skin_tone():
    body = recorded("reaction_added", 2)
    assert said("reaction_added", body) == [
        f"slack_reactions {ROOT}:white_check_mark:U0ADA0001",
        f"job fetch_message:{ROOT}:white_check_mark",
        f"job follow_incident:{ROOT}",
    ]
    assert body["event"]["reaction"] == "white_check_mark::skin-tone-3"
    assert said("reaction_removed", recorded("reaction_removed")) == [
        f"slack_reactions {ROOT}:eyes:U0ADA0001",
        f"job follow_incident:{ROOT}",
    ]


def test_reactions_to_files_and_of_our_own_are_noted():
    bot = recorded("reaction_added", user="U0VEELBOT")
    assert said("reaction_added", bot) == ["What our own bot marks is no news."]
    file = recorded("reaction_added", 4)
    assert said("reaction_added", file) == ["A reaction to a file says nothing of an incident."]


def test_a_new_name_of_a_channel_judges_its_threads_anew_and_may_join_it():
    channel = f"slack:{TEAM}:{RANDOM}"
    assert said("channel_rename", recorded("channel_rename")) == [
        f"slack_channels {channel}",
        f"job follow_channel:{channel}",
        f"job join_channel:{channel}",
    ]
    private = f"slack:{TEAM}:{PRIVATE}"
    assert said("group_rename", recorded("group_rename")) == [
        f"slack_channels {private}",
        f"job follow_channel:{private}",
    ]


def test_only_our_own_bots_memberships_are_kept():
    other = recorded("member_joined_channel", user="U0BOB0002")
    assert said("member_joined_channel", other) == ["Who else is in a channel changes no measure."]
    assert said("member_joined_channel", recorded("member_joined_channel", 2)) == [
        f"slack_channel_states slack:{TEAM}:{PRIVATE}:member",
        f"job learn_channel:slack:{TEAM}:{PRIVATE}",
    ]


def test_an_uninstalled_app_ends_the_connection_and_forgets_the_token():
    connection = f"slack:team:{TEAM}"
    ended = [f"connections {connection}", f"job forget_slack_token:{connection}"]
    assert said("app_uninstalled", recorded("app_uninstalled")) == ended
    assert said("tokens_revoked", recorded("tokens_revoked", 1)) == ended
    assert said("tokens_revoked", recorded("tokens_revoked")) == [
        "Tokens of people were revoked; only the bot's is used."
    ]


def test_an_event_that_tells_no_time_has_that_of_its_envelope():
    body = recorded("channel_archive")
    del body["event"]["event_ts"]
    assert row("channel_archive", body).changed_at == datetime.fromtimestamp(1789000820, UTC)


@pytest.mark.parametrize("stamp", ["", "now", "1.2.3", "1" * 13 + ".0", "1789000100", "-1.000001"])
def test_a_timestamp_that_is_none_is_named(stamp):
    body = recorded("message")
    body["event"]["ts"] = stamp
    with pytest.raises(ValueError, match=r"event\.ts"):
        decided("message", body)


def edited(text, seconds):
    """Return an edit of the story's first message, and when Slack told of it."""
    body = recorded("message", subtype="message_changed")
    body["event"]["message"] |= {"text": text, "edited": {"user": "U0ADA0001", "ts": ts(seconds)}}
    body["event"] |= {"ts": ts(seconds, 9), "event_ts": ts(seconds, 9)}
    return ("message", body)


def test_of_two_edits_the_later_one_stands_in_either_order():
    both = arrived([edited("zzz, the first", 180), edited("a second", 181)])
    for order in (both, both[::-1]):
        assert '"words": "a second"' in tables(order)["slack_messages", ROOT][2]


def test_a_reaction_taken_back_at_once_does_not_stand():
    added = recorded("reaction_added")
    removed = recorded("reaction_added")
    removed["event"]["type"] = "reaction_removed"
    both = arrived([("reaction_added", added), ("reaction_removed", removed)])
    for order in (both, both[::-1]):
        (held,) = tables(order).values()
        assert '"standing": "False"' in held[2]
