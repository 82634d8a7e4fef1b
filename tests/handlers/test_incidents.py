"""What is an incident, by labels, reports, corrections and updates."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import models
from handlers.incidents import (
    End,
    Told,
    environment_class,
    incident_key,
    incident_of,
    incident_of_issue,
    incident_of_linear,
    incident_of_report,
    severity_of,
)
from models.incident_changes import written
from models.incident_reading import SEVERITY_WORDS, ChannelPlace, Reading, merged

T0 = datetime(2026, 9, 1, 10, tzinfo=UTC)
READING = Reading()


def at(minutes):
    return T0 + timedelta(minutes=minutes)


def told(**more):
    said = {"id": "github:1", "source": "github", "title": "Down", "detail": "Down"}
    return Told(**said, started_at=T0, detected_at=T0, opened_why="said so", **more)


def correction(field, value, by="user:1"):
    return models.IncidentCorrection(
        incident_id="github:1", field=field, value=written(field, value), by=by, at=T0
    )


def update(number, minutes, state, by="user:2"):
    return models.IncidentUpdate(
        id=number, incident_id="github:1", organization_id="o", state=state, body="", by=by,
        at=at(minutes),
    )  # fmt: skip


def made(said=None, corrections=(), updates=()):
    return incident_of(said or told(), "o", corrections, updates)


def test_a_key_is_short_and_always_the_same():
    assert incident_key("github:42") == incident_key("github:42")
    assert incident_key("github:42") != incident_key("github:43")
    assert len(incident_key("slack:T1:C1:1700000000.000100")) == 11
    assert incident_key("github:42").startswith("INC-")


@pytest.mark.parametrize(
    ("said", "severity"),
    [
        ("SEV1: shop is down", "sev1"),
        ("p0", "sev1"),
        ("P3 only", "sev4"),
        ("Severity: 2", "sev2"),
        ("sev-3", "sev3"),
        ("from sev1 to sev3", "sev3"),
        ("sev2\nraised to P0", "sev1"),
        ("sev2 (not a sev1)", "sev2"),
        ("this isn't sev1", None),
        ("sev12, xp1, p10", None),
        ("", None),
        (["bug", "sev3", "p1"], "sev2"),
        (["bug"], None),
        ([], None),
    ],
)
def test_a_severity_is_the_last_word_or_the_worst_label(said, severity):
    assert severity_of(said, READING) == severity


def test_severities_are_configured_level_by_level():
    reading = merged({"severities": {"sev1": ["critical"]}})
    assert severity_of("critical", reading) == "sev1"
    assert severity_of("p1", reading) == "sev2"
    assert severity_of("p0", reading) is None


@pytest.mark.parametrize(
    ("environment", "told_class"),
    [
        ("production", "production"),
        ("staging", "staging"),
        ("transient", "transient"),
        ("other", "other"),
        ("prod-eu", "production"),
        ("pre-production", "staging"),
        ("sandbox", "other"),
    ],
)
def test_an_environment_is_a_class_or_a_name(environment, told_class):
    assert environment_class(environment) == told_class


def test_empty_settings_are_the_defaults_and_others_win():
    assert merged(None) == Reading()
    kept = {"window_hours": 0.0, "channels": [], "labels": ["fire"], "severities": {}}
    assert merged(kept) == Reading(labels=["fire"])
    assert Reading().severities == SEVERITY_WORDS


def test_the_first_place_by_name_that_fits_counts():
    places = [ChannelPlace("incident-*", "staging"), ChannelPlace("incident-api", "production")]
    reading = Reading(places=places)
    assert reading.place_of("Incident-API").environment == "staging"
    assert reading.place_of("alerts") == ChannelPlace("alerts")


def issue(**more):
    said = {
        "id": "github:1", "repository_id": "github:10", "number": 5, "title": "P1: shop is down",
        "state": "open", "labels": ["bug", "Incident"], "created_at": T0, "author_login": "Ada",
        "mentions": ["number:acme/api#3"], "url": "https://github.com/acme/api/issues/5",
    }  # fmt: skip
    return models.Issue(**(said | more))


def test_a_labelled_issue_is_an_incident_until_it_is_closed():
    incident = made(incident_of_issue(issue(), READING))
    assert (incident.state, incident.severity, incident.source) == (
        "investigating",
        "sev2",
        "github",
    )
    assert incident.opened_why == "labelled “Incident”"
    assert (incident.repository_id, incident.names) == ("github:10", ["number:acme/api#3"])
    assert incident.opened_by == "github:login:ada"
    closed = made(incident_of_issue(issue(state="closed", closed_at=at(60)), READING))
    assert (closed.state, closed.resolved_at) == ("resolved", at(60))
    assert closed.resolved_why == "the issue was closed"
    reopened = made(incident_of_issue(issue(state="open", closed_at=at(60)), READING))
    assert reopened.resolved_at is None


@pytest.mark.parametrize("more", [{"deleted": True}, {"labels": ["bug"]}, {"labels": []}])
def test_an_issue_without_the_label_or_deleted_is_no_incident(more):
    assert incident_of_issue(issue(**more), READING) is None


def test_labels_of_issues_are_shell_patterns():
    reading = Reading(labels=["incident/*"])
    assert incident_of_issue(issue(labels=["Incident/Minor"]), reading) is not None
    assert incident_of_issue(issue(labels=["incident"]), reading) is None


def linear(**more):
    said = {
        "id": "linear:u1", "identifier": "ENG-1", "number": 1, "title": "Checkout fails",
        "team_id": "linear:t1", "labels": ["sev2", "incident"], "created_at": T0,
    }  # fmt: skip
    return models.LinearIssue(**(said | more))


@pytest.mark.parametrize(
    ("more", "ended", "why"),
    [
        ({}, None, None),
        ({"completed_at": at(30)}, at(30), "completed in Linear"),
        ({"canceled_at": at(40)}, at(40), "cancelled in Linear"),
        ({"canceled_at": at(40), "completed_at": at(50)}, at(40), "cancelled in Linear"),
    ],
)
def test_a_linear_issue_ends_when_it_is_done_or_cancelled(more, ended, why):
    incident = made(incident_of_linear(linear(**more), READING, "github:10"))
    assert (incident.resolved_at, incident.resolved_why) == (ended, why)
    assert (incident.severity, incident.repository_id) == ("sev2", "github:10")


def test_a_linear_issue_without_the_label_is_no_incident():
    assert incident_of_linear(linear(labels=[]), READING) is None
    assert incident_of_linear(linear(deleted=True), READING) is None


def test_a_report_is_what_its_reporter_says():
    report = models.IncidentReport(
        id="api:o:1", organization_id="o", title="Queue stuck", description="since #4",
        severity="sev3", environment="prod-eu", service="api", started_at=T0, resolved_at=at(9),
        reported_by="user:1", url="https://status.example",
    )  # fmt: skip
    incident = made(incident_of_report(report, ["number:acme/api#4"]))
    assert (incident.environment, incident.environment_class) == ("prod-eu", "production")
    assert (incident.state, incident.resolved_at, incident.service) == ("resolved", at(9), "api")
    assert incident.names == ["number:acme/api#4"]


def test_corrections_win_and_are_listed():
    corrections = [
        correction("title", "Checkout was down"),
        correction("severity", "sev1"),
        correction("environment", "staging"),
        correction("repository_id", "github:11"),
        correction("service", "web"),
        correction("started_at", "2026-09-01T11:30:00+02:00"),
        correction("resolved_at", "2026-09-01T12:00:00Z"),
        correction("dismissed", True),
    ]
    incident = made(told(ends=(End(at(5), "closed"),)), corrections)
    assert incident.title == "Checkout was down"
    assert (incident.severity, incident.environment_class) == ("sev1", "staging")
    assert (incident.repository_id, incident.service) == ("github:11", "web")
    assert (incident.started_at, incident.resolved_at) == (at(-30), at(120))
    assert incident.detected_at == T0
    assert incident.dismissed
    assert incident.corrected == sorted(each.field for each in corrections)
    assert incident.resolved_why == "corrected by hand"


def test_a_cleared_correction_is_none():
    incident = made(corrections=[correction("severity", None), correction("dismissed", False)])
    assert (incident.severity, incident.dismissed) == (None, False)
    assert incident.corrected == ["dismissed"]


def test_nothing_lasts_less_than_no_time():
    incident = made(told(ends=(End(at(5), "closed"),)), [correction("started_at", at(30))])
    assert incident.started_at == incident.resolved_at == incident.detected_at == at(30)


@pytest.mark.parametrize(
    ("ends", "updates", "state", "resolved"),
    [
        ((), [], "investigating", None),
        ((), [(5, "identified")], "identified", None),
        ((), [(5, "identified"), (9, "monitoring")], "monitoring", None),
        ((), [(5, "identified"), (9, None)], "identified", None),
        ((), [(5, "identified"), (9, "resolved")], "resolved", 9),
        ((), [(9, "resolved"), (12, "investigating")], "investigating", None),
        ((), [(9, "resolved"), (12, "monitoring"), (20, "resolved")], "resolved", 20),
        ((7,), [], "resolved", 7),
        ((7,), [(5, "monitoring")], "resolved", 7),
        ((7,), [(9, "resolved")], "resolved", 7),
        ((7,), [(9, "investigating")], "investigating", None),
        ((7, 30), [(9, "investigating")], "resolved", 30),
        ((7,), [(7, "monitoring")], "monitoring", None),
    ],
)
def test_updates_end_an_incident_and_open_it_again(ends, updates, state, resolved):
    said = told(ends=tuple(End(at(minute), "closed") for minute in ends))
    kept = [update(number, *each) for number, each in enumerate(updates)]
    incident = made(said, updates=kept)
    assert incident.state == state
    assert incident.resolved_at == (None if resolved is None else at(resolved))


def test_a_corrected_end_stands_whatever_updates_say():
    kept = [update(1, 500, "investigating")]
    incident = made(corrections=[correction("resolved_at", at(90))], updates=kept)
    assert (incident.state, incident.resolved_at) == ("resolved", at(90))


STATES = [None, "investigating", "identified", "monitoring", "resolved"]


@given(
    st.lists(st.tuples(st.integers(0, 20), st.sampled_from(STATES)), max_size=6),
    st.lists(st.integers(0, 20), max_size=3),
    st.data(),
)
def test_the_order_in_which_things_are_read_is_nothing(updates, ends, data):
    kept = [update(number, *each) for number, each in enumerate(updates)]
    closings = tuple(End(at(minute), f"closed {minute}") for minute in ends)
    expected = vars(made(told(ends=closings), updates=kept))
    shuffled = data.draw(st.permutations(kept))
    again = made(told(ends=tuple(data.draw(st.permutations(closings)))), updates=shuffled)
    assert {name: vars(again)[name] for name in vars(again) if name[0] != "_"} == {
        name: expected[name] for name in expected if name[0] != "_"
    }
    assert (again.state == "resolved") == (again.resolved_at is not None)
