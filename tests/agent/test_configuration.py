"""What a repository may say of how it is developed, and how it is told what is wrong."""

import json
from decimal import Decimal
from importlib import resources

import jsonschema_rs
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as some

from bot.agent.configuration import (
    Configuration,
    made_schema,
    read_configuration,
    schema,
)

ALL = b"""
test: [pip check, pytest -q]
test_seconds: 120
setup: {commands: [make deps], hosts: [Files.Example.com]}
model: claude-opus-5-5
budget_usd: 1.25
auto: false
labels: ai
protected: [infra/**]
prompt: ./.github/prompt.md
reviewers: [alice, acme/core]
"""


def test_every_key_is_read() -> None:
    told, faults = read_configuration(ALL)
    assert not faults
    assert told == Configuration(
        test=("pip check", "pytest -q"),
        test_seconds=120,
        setup=("make deps",),
        hosts=("files.example.com",),
        model="claude-opus-5-5",
        budget_usd=Decimal("1.25"),
        auto=False,
        labels=("ai",),
        protected=("infra/**",),
        prompt=".github/prompt.md",
        reviewers=("alice", "acme/core"),
    )


def test_several_test_commands_are_one_that_stops_at_the_first_failure() -> None:
    told, _ = read_configuration(b"test: ['cd a # b', pytest]")
    assert told.test_command == "{ cd a # b\n} && { pytest\n}"
    assert read_configuration(b"test: make test")[0].test_command == "make test"
    assert Configuration().test_command is None


@pytest.mark.parametrize("body", [None, b"", b"# nothing\n", b"test:\n"])
def test_nothing_said_means_the_defaults(body: bytes | None) -> None:
    assert read_configuration(body) == (Configuration(), [])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"tset: x", "there is no key `tset`"),
        (b"setup: {comands: x}", "there is no key `setup.comands`"),
        (b"auto: maybe", "`auto`: Input should be a valid boolean"),
        (b"budget_usd: yes", "`budget_usd`: must be a number"),
        (b"budget_usd: -1", "`budget_usd`: Input should be greater than 0"),
        (b"budget_usd: .inf", "finite"),
        (b"test_seconds: 99999", "less than or equal to 3600"),
        (b"hosts: [10.0.0.1]", "“10.0.0.1” is not the name of a host"),
        (b"hosts: ['*.com']", "is not the name of a host"),
        (b"hosts: [localhost]", "is not the name of a host"),
        (b"hosts: ['a.com:22']", "is not the name of a host"),
        (b"prompt: ../../etc/passwd", "is not a path inside the repository"),
        (b"prompt: /etc/passwd", "is not a path inside the repository"),
        (b"model: '--x'", "`model`"),
        (b"reviewers: ['@alice']", "`reviewers`, item 1"),
        (b"- test", "must be a list of `key: value`"),
        (b"test: [a\n", "is not read"),
        (b"\xff\xfe", "it is not UTF-8"),
        (b"test: !!python/object/apply:os.system ['id']", "could not determine a constructor"),
        (b"a: &a [1]\nb: *a", "aliases"),
        (b"a: " + b"[" * 5000, "nested too deeply"),
        (b"#" * 70_000, "larger than 64 KB"),
        (b"budget_usd: 2001-99-99", "is not read"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(body: bytes, said: str) -> None:
    told, faults = read_configuration(body)
    assert told == Configuration()
    assert said in "\n".join(faults)
    assert all(fault.startswith(".github/veelocity.yml") for fault in faults)
    assert all(fault.endswith(".") and "\n" not in fault for fault in faults)


def test_what_is_right_holds_beside_what_is_wrong() -> None:
    told, faults = read_configuration(
        b"test: pytest\nbudget_usd: lots\nprotected: [a, 1, b]\nhosts: [a.example.com, nowhere]"
    )
    assert told == Configuration(test=("pytest",), protected=("a", "b"), hosts=("a.example.com",))
    assert len(faults) == 3


def test_commands_hold_all_or_not_at_all() -> None:
    told, faults = read_configuration(b"setup: [make a, {b: c}, make d]")
    assert told.setup == ()
    assert len(faults) == 1


def test_a_small_file_that_would_become_gigabytes_is_refused() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
    told, faults = read_configuration("\n".join(lines).encode())
    assert told == Configuration()
    assert "aliases" in faults[0]


def test_thousands_of_faults_are_said_briefly() -> None:
    _, faults = read_configuration("\n".join(f"k{n}: 1" for n in range(3000)).encode())
    assert len(faults) == 21
    assert faults[-1] == ".github/veelocity.yml: and 2980 faults more."


@settings(max_examples=300, deadline=None)
@given(some.binary(max_size=300) | some.text(max_size=300).map(str.encode))
def test_nothing_that_is_written_there_raises(body: bytes) -> None:
    told, faults = read_configuration(body)
    assert isinstance(told, Configuration)
    assert all("\n" not in fault for fault in faults)


@settings(max_examples=200, deadline=None)
@given(
    some.dictionaries(
        some.sampled_from([*Configuration.model_fields, "other"]),
        some.recursive(
            some.none() | some.booleans() | some.integers() | some.floats() | some.text(),
            lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
            max_leaves=6,
        ),
    )
)
def test_no_value_raises(told: dict[str, object]) -> None:
    body = json.dumps(told, allow_nan=False, default=str) if finite(told) else "{}"
    assert isinstance(read_configuration(body.encode())[0], Configuration)


def finite(told: object) -> bool:
    try:
        json.dumps(told, allow_nan=False)
    except ValueError:
        return False
    return True


def test_the_published_schema_is_the_models() -> None:
    written = resources.files("bot.agent").joinpath("configuration.schema.json").read_text()
    assert json.loads(written) == made_schema() == schema()


def test_the_schema_accepts_what_is_read_and_refuses_what_is_not() -> None:
    validator = jsonschema_rs.validator_for(schema())
    assert validator.is_valid(yaml.safe_load(ALL))
    assert validator.is_valid({"test": "pytest --a-rather-long-option --another-one"})
    assert not validator.is_valid({"tset": "x"})
    assert not validator.is_valid({"test_seconds": 99999})
    assert all(key.get("description") for key in schema()["properties"].values())
