"""When a Slack thread is an incident: what starts and ends it, how bad it is, what it names."""

import random
import time
from datetime import UTC, datetime, timedelta

import pytest

import models
from handlers.incident_threads import incident_of_thread, plain
from handlers.incident_trials import trial
from models.incident_reading import ChannelPlace, Reading

T0 = datetime(2026, 9, 1, 10, tzinfo=UTC)
CHANNEL = "slack:T1:C1"
ROOT = f"{CHANNEL}:100"


def at(minutes):
    return T0 + timedelta(minutes=minutes)


def place(name="incidents"):
    return models.SlackChannel(id=CHANNEL, team_id="T1", channel_id="C1", name=name)


def message(words, minutes=0, **more):
    ts = str(100 + minutes)
    said = {
        "id": f"{CHANNEL}:{ts}", "ts": ts, "channel_key": CHANNEL, "thread_id": ROOT,
        "author_id": "U1", "author_name": "Ada", "words": words, "posted_at": at(minutes),
    }  # fmt: skip
    return models.SlackMessage(**(said | more))


def reaction(emoji, minutes, on=ROOT, by="U2", standing=True):
    return models.SlackReaction(
        id=f"{on}:{emoji}:{by}", message_id=on, emoji=emoji, author_id=by, at=at(minutes),
        standing=standing,
    )  # fmt: skip


def judged(*said, channel="incidents", reading=None):
    """Judge a thread of messages and reactions in whatever order."""
    told = list(said)
    random.Random(7).shuffle(told)
    messages = [each for each in told if isinstance(each, models.SlackMessage)]
    reactions = [each for each in told if isinstance(each, models.SlackReaction)]
    where = place(channel) if isinstance(channel, str) else channel
    return incident_of_thread(messages, reactions, where, reading or Reading())


def ended(*said, **more):
    """Return the minute at which a thread ended, and why; None while it goes on."""
    ends = judged(*said, **more).ends
    first = min(ends, key=lambda end: end.at, default=None)
    return first and ((first.at - T0).total_seconds() / 60, first.why)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("API outage in eu", "says “outage”"),
        ("The shop is DOWN", "says “DOWN”"),
        ("latency, sev2", "says “sev2”"),
        ("P1 latency", "says “P1”"),
        ("Severity: 1 something", "says “Severity: 1”"),
        ("*Outage* of `api`", "says “Outage”"),
        ("_down_", "says “down”"),
        ("No idea why the API is down", "says “down”"),
        ("not responding, API down", "says “down”"),
        ("not sev1, sev2", "says “sev2”"),
        ("is the api down?", "says “down”"),
        ("hello\n\nthis is an incident", "says “incident”"),
    ],
)
def test_a_start_word_of_a_person_opens(words, why):
    assert judged(message(words)).opened_why == why


@pytest.mark.parametrize(
    "words",
    [
        *("hello", "", "countdown", "downtown", "no incident", "not an outage", "This isn't down"),
        *("it’s not really down", "no longer degraded", "never down", "False alarm, no outage"),
        *("Outage resolved", "Resolved: checkout is down", "the incident is resolved now"),
        "see <https://grafana.example/down/p1|the graph>",
        "see <https://grafana.example/d/down>",
    ],
)
def test_other_words_open_nothing(words):
    assert judged(message(words)) is None


@pytest.mark.parametrize(
    ("channel", "opens"),
    [
        *(("incidents", True), ("alerts", True), ("incident-2026-api", True), ("Incident-X", True)),
        *(("general", False), ("my-incidents", False), ("incident", False), ("alerts-web", False)),
    ],
)
def test_only_channels_that_fit_are_read(channel, opens):
    assert (judged(message("outage"), channel=channel) is not None) is opens


def test_channels_are_read_by_id_too_and_once_they_are_known():
    assert judged(message("outage"), channel=place("x"), reading=Reading(channels=["C1"]))
    assert judged(message("outage"), channel=None) is None


@pytest.mark.parametrize(
    ("name", "words", "why"),
    [
        ("PagerDuty", "Triggered #12 high latency", "alert of PagerDuty"),
        ("Acme Grafana", "[FIRING:1] errors", "alert of Acme Grafana"),
        ("Datadog", "[Recovered] errors", None),
        ("Alertmanager", "[RESOLVED] errors", None),
        ("Veelocity", "Incident INC-1: outage", None),
        ("GitHub", "Deployment of outage page", None),
        (None, "outage", None),
    ],
)
def test_bots_open_only_as_alerting_tools(name, words, why):
    incident = judged(message(words, bot=True, author_name=name, author_id="B1"))
    assert (incident.opened_why if incident else None) == why


def test_an_alerting_bot_may_be_named_by_its_id():
    said = message("latency", bot=True, author_name="hook", author_id="B7")
    assert judged(said, reading=Reading(alert_bots=["B7"])).opened_why == "alert of hook"


def test_a_reaction_on_the_first_message_opens():
    slow = message("checkout feels slow")
    incident = judged(slow, reaction("rotating_light", 5, by="U9"), reaction("rotating_light", 8))
    assert incident.opened_why == "🚨 by U9"
    assert (incident.started_at, incident.detected_at) == (T0, at(5))
    assert (incident.opened_by, incident.title) == ("slack:T1:U9", "checkout feels slow")
    assert judged(slow, reaction("rotating_light", 5, standing=False)) is None
    assert judged(slow, reaction("eyes", 5)) is None
    reply = message("me too", 3)
    assert judged(slow, reply, reaction("rotating_light", 5, on=reply.id)) is None


def test_the_bots_message_that_a_person_marks_is_an_incident():
    said = message("Deploy failed", bot=True, author_name="GitHub")
    assert judged(said, reaction("rotating_light", 1)).opened_why == "🚨 by U2"


@pytest.mark.parametrize("gone", [{"deleted": True}, {"words": "never mind", "edited_at": at(3)}])
def test_a_first_message_deleted_or_edited_away_is_no_incident(gone):
    assert judged(message(**{"words": "outage"} | gone), message("outage", 4)) is None


def test_replies_alone_are_no_incident():
    assert judged(message("outage", 4)) is None


@pytest.mark.parametrize(
    ("said", "end"),
    [
        ([], None),
        ([reaction("white_check_mark", 9)], (9, "✅ by U2")),
        ([reaction("white_check_mark", 9, standing=False)], None),
        ([reaction("white_check_mark", 9), reaction("white_check_mark", 6, by="U3")],
         (6, "✅ by U3")),
        ([message("rolled back", 5), reaction("white_check_mark", 9, on=f"{CHANNEL}:105")],
         (9, "✅ by U2")),
        ([message("gone", 5, deleted=True), reaction("white_check_mark", 9, on=f"{CHANNEL}:105")],
         None),
        ([reaction("white_check_mark", 9, on=f"{CHANNEL}:999")], None),
        ([message("Resolved!", 12)], (12, "Ada says “Resolved”")),
        ([message("resolved", 12, deleted=True)], None),
        ([message("resolved", 12), reaction("white_check_mark", 9)], (9, "✅ by U2")),
        ([message("resolved", 8), reaction("white_check_mark", 9)], (8, "Ada says “resolved”")),
        ([message("on it", 4, edited_at=at(6))], None),
        ([message("resolved", 4, edited_at=at(60))], (4, "Ada says “resolved”")),
        ([message("Resolved #12", 7, bot=True, author_name="PagerDuty")],
         (7, "PagerDuty says “Resolved”")),
        ([message("[Recovered] ok", 7, bot=True, author_name="Datadog")],
         (7, "Datadog says “Recovered”")),
        ([message("Resolved INC-1", 7, bot=True, author_name="Veelocity")], None),
        ([message("Recovered", 7)], None),
    ],
)  # fmt: skip
def test_the_earliest_end_that_stands_counts(said, end):
    assert ended(message("outage"), *said) == end


@pytest.mark.parametrize(
    "words",
    [
        *("not resolved yet", "still not fully resolved", "this isn't resolved", "unresolved"),
        *("resolved?", "is it resolved now?", "once resolved we go home", "until it is resolved"),
        *("should be resolved soon", "I’ll say when it's resolved", "going to be resolved"),
        *("partially resolved", "if resolved, close", "hasn't been resolved", "Hopefully resolved"),
    ],
)
def test_what_is_denied_hoped_or_asked_ends_nothing(words):
    assert ended(message("outage"), message(words, 5)) is None


@pytest.mark.parametrize(
    "words",
    [
        *("resolved", "RESOLVED.", "It was not the cache. Resolved", "not the db, but resolved"),
        *("No more errors, resolved", "resolved? yes, resolved", "all good and resolved now"),
        *("*Resolved*", "Resolved. What next?", "seems resolved"),
    ],
)
def test_what_is_said_plainly_ends(words):
    assert ended(message("outage"), message(words, 5))[0] == 5


def test_a_mark_before_the_start_was_noticed_ends_nothing():
    slow = message("checkout feels slow")
    alarm = reaction("rotating_light", 5)
    assert ended(slow, alarm, reaction("white_check_mark", 4)) is None
    assert ended(slow, alarm, reaction("white_check_mark", 5)) == (5, "✅ by U2")


def test_an_edit_of_the_first_message_ends_it():
    edited = message("Outage of the API – resolved", edited_at=at(20))
    assert ended(edited) == (20, "the message was edited to say “resolved”")
    alert = message("Resolved #12", edited_at=at(9), bot=True, author_name="PagerDuty")
    assert ended(alert) == (9, "the message was edited to say “Resolved”")


def test_the_words_that_end_it_are_configured():
    reading = Reading(resolve_patterns=["/all (clear|good)/"], resolve_reactions=["tada"])
    said = [message("outage"), message("resolved", 3), reaction("white_check_mark", 4)]
    assert ended(*said, reading=reading) is None
    assert ended(*said, message("All clear", 8), reading=reading)[0] == 8
    assert ended(*said, reaction("tada", 6), reading=reading) == (6, ":tada: by U2")


@pytest.mark.parametrize(
    ("said", "severity"),
    [
        ([message("outage sev2")], "sev2"),
        ([message("outage")], "sev3"),
        ([message("outage"), message("this is a P0", 3)], "sev1"),
        ([message("outage sev2"), message("raising to sev1", 3), message("sev3 now", 6)], "sev3"),
        ([message("outage sev2"), message("not a sev1", 3)], "sev2"),
        ([message("outage sev2"), message("sev1", 3, deleted=True)], "sev2"),
        ([message("outage sev2"), message("sev1", 3, bot=True, author_name="Poll")], "sev2"),
        ([message("outage sev2"), message("resolved", 5), message("filed a P3", 9)], "sev2"),
        ([message("outage sev2"), message("resolved, was sev1", 5)], "sev1"),
    ],
)
def test_severity_is_the_last_word_until_the_end_else_the_channels(said, severity):
    reading = Reading(places=[ChannelPlace("incidents", severity="sev3")])
    assert judged(*said, reading=reading).severity == severity


def test_a_channel_says_what_its_incidents_are_about():
    there = ChannelPlace("incident*", "prod-eu", "github:10", "api", "sev2", "acme/api")
    incident = judged(message("outage since #12"), reading=Reading(places=[there]))
    assert (incident.environment, incident.repository_id) == ("prod-eu", "github:10")
    assert (incident.service, incident.severity) == ("api", "sev2")
    assert incident.names == ("number:acme/api#12",)
    assert judged(message("outage since #12")).names == ("number:#12",)


def test_a_thread_names_what_broke_it_and_not_what_mends_it():
    incident = judged(
        message("outage since <https://github.com/acme/api/pull/12|#12>"),
        message("rolling back to 4f2a91c", 2),
        message("ENG-7 did it, fix in acme/api#45", 3),
        message("fixed by <https://github.com/acme/api/pull/46>", 4),
        message("deleted acme/api#9", 5, deleted=True),
        message("reverting 99aabb1", 6),
    )
    assert set(incident.names) == {
        "number:acme/api#12",
        "repository:acme/api",
        "identifier:ENG-7",
        "sha:99aabb1",
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("<@U1> and <@U2|ada>", "@U1 and @ada"),
        ("<#C1|incidents> <#C2|> <#C3>", "#incidents #C2 #C3"),
        ("<!here> <!subteam^S1|@sre> <!subteam^S2>", "@here @sre @subteam"),
        ("<https://a.example/x|the graph> <https://b.example>", "the graph https://b.example"),
        ("a &lt;b&gt; &amp;amp;", "a <b> &amp;"),
        ("*bold* _it_ ~no~ `code` snake_case_name 2*3*4", "bold it no code snake_case_name 2*3*4"),
        ("***", "***"),
    ],
)
def test_markup_is_made_plain(words, said):
    assert plain(words) == said


def test_a_title_is_the_first_line_with_words():
    assert judged(message("*—*\n:fire: <!here> *API* down\nmore")).title == ":fire: @here API down"
    bare = judged(message("🔥"), reaction("rotating_light", 1))
    assert bare.title == "Incident in #incidents"
    assert len(judged(message("outage " * 100)).title) == 200


def test_the_rest_of_an_incident_of_a_thread():
    incident = judged(message("outage"))
    assert (incident.id, incident.source, incident.channel) == (ROOT, "slack", "incidents")
    assert incident.url == "https://app.slack.com/client/T1/C1/thread/C1-100"
    assert incident.opened_by == "slack:T1:U1"
    assert incident.environment == "production"


@pytest.mark.parametrize("words", ["_" * 40_000 + "a", "<" * 40_000, "*a" * 20_000, "a " * 20_000])
def test_the_longest_message_is_read_in_a_second(words):
    started = time.process_time()
    judged(message(words), reaction("rotating_light", 1), message(words, 5))
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("text", "channel", "bot", "opens", "why"),
    [
        ("API outage, P0, see #3", "#Incidents", None, True, "says “outage”"),
        ("hello", "incidents", None, False, "says none of the start words"),
        ("no outage", "incidents", None, False, "“outage” is denied in it"),
        ("outage resolved", "incidents", None, False,
         "says “resolved”: what is over opens nothing"),
        ("outage", "general", None, False,
         "#general fits none of the channels: incidents, alerts, incident-*"),
        ("firing", "alerts", "Grafana", True, "alert of Grafana"),
        ("outage", "alerts", "Poll", False,
         "Poll is none of the alerting tools, and other bots open nothing"),
    ],
)  # fmt: skip
def test_a_trial_says_what_a_text_would_do(text, channel, bot, opens, why):
    told = trial(text, channel, Reading(), bot)
    assert (told.opens, told.why) == (opens, why)


def test_a_trial_says_what_the_incident_would_be():
    there = ChannelPlace("incident*", "prod-eu", "github:10", "api", None, "acme/api")
    told = trial("API outage, P0, see #3", "#incidents", Reading(places=[there]))
    assert (told.severity, told.environment, told.environment_class) == (
        "sev1", "prod-eu", "production",
    )  # fmt: skip
    assert (told.repository, told.service) == ("acme/api", "api")
    assert (told.names, told.title) == (("number:acme/api#3",), "API outage, P0, see #3")
    assert (told.ends, told.ends_why) == (False, None)
    assert trial("resolved", "incidents", Reading()).ends_why == "says “resolved”"
    assert not trial("resolved", "general", Reading()).ends
