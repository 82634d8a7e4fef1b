"""Which environments count as production."""

import pytest

from handlers.github.environments import environment_class, shipped_to


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("production", "production"),
        ("Production", "production"),
        ("prod", "production"),
        ("prod-eu-1", "production"),
        ("acme_PRD", "production"),
        ("api/live", "production"),
        ("Production: acme-web", "production"),
        ("acmeProd", "production"),
        ("pre-production", "staging"),
        ("preprod", "staging"),
        ("PreProd", "staging"),
        ("non-prod", "staging"),
        ("nonprod", "staging"),
        ("not production", "staging"),
        ("staging", "staging"),
        ("stage", "staging"),
        ("production-test", "staging"),
        ("qa", "staging"),
        ("dev", "other"),
        ("preview", "other"),
        ("live-preview", "other"),
        ("review/pr-12", "other"),
        ("github-pages", "other"),
        ("product", "other"),
        ("delivery", "other"),
        ("olive", "other"),
        ("42", "other"),
    ],
)
def test_a_name_says_what_an_environment_is_for(name, expected):
    assert environment_class(name, transient=None, production=None) == expected
    assert environment_class(name, transient=False, production=False) == expected


def test_what_github_was_told_outranks_the_name():
    assert environment_class("eu-1", transient=False, production=True) == "production"
    assert environment_class("staging", transient=False, production=True) == "production"
    assert environment_class("production", transient=True, production=True) == "transient"


@pytest.mark.parametrize(
    ("workflow", "expected"),
    [
        ("Deploy deploy", ("production", "production")),
        ("Test and deploy ci", ("production", "production")),
        ("Release release", ("production", "production")),
        ("Deploy to staging deploy-staging", ("staging", "staging")),
        ("Deploy deploy_pre-prod", ("staging", "staging")),
        ("Deploy preview", ("preview", "other")),
        ("Deploy dev", ("dev", "other")),
    ],
)
def test_a_deploying_workflow_ships_to_production_unless_it_says_otherwise(workflow, expected):
    assert shipped_to(workflow) == expected
