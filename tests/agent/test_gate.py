"""What may not leave: protected paths, odd names, links, submodules, secrets, sizes."""

from collections.abc import Sequence

import pytest

from bot.agent import gate_paths
from bot.agent.gate import Verdict, judge
from bot.agent.workspace import Workspace
from tests.agent.conftest import Repository, plain_git

CLASSIC = "ghp_" + "9aB3xY7kLm2QwErTzUiOpAsDfGhJkYxCvBn4"


async def judged(
    space: Workspace,
    origin: Repository,
    *,
    protected: Sequence[str] = (),
    allowed: Sequence[str] = (),
) -> Verdict:
    changes = await space.changes(origin.head)
    return await judge(space, changes, protected=protected, allowed=allowed)


def write(space: Workspace, path: str, body: str | bytes = "x\n") -> None:
    whole = space.tree / path
    whole.parent.mkdir(parents=True, exist_ok=True)
    whole.write_bytes(body.encode() if isinstance(body, str) else body)


def why(verdict: Verdict) -> dict[str, str]:
    return {fault.path: fault.why for fault in verdict.faults}


async def test_an_ordinary_change_passes(space: Workspace, origin: Repository) -> None:
    write(space, "add.py", "def add(a, b):\n    return a + b\n")
    write(space, "docs/guide.md")
    write(space, ".gitignore", "*.pyc\n")
    verdict = await judged(space, origin)
    assert verdict == Verdict((), ())


PROTECTED = [
    ".github/workflows/ci.yml",
    ".github/veelocity.yml",
    ".GitHub/workflows/ci.yml",
    ".git\u200bhub/workflows/ci.yml",
    ".github./workflows/ci.yml",
    ".github /workflows/ci.yml",
    ".GITHUB::$INDEX_ALLOCATION/workflows/ci.yml",
    "GITHUB~1/workflows/ci.yml",
    ".\uff47ithub/workflows/ci.yml",
    ".github\\workflows\\ci.yml",
    "CODEOWNERS",
    "docs/CodeOwners",
    "CLAUDE.md",
    "lib/claude.MD",
    "AGENT\u017f.md",
    ".mcp.json",
    ".gitattributes",
    "lib/.gitattributes",
    ".gitmodules",
    ".husky/pre-commit",
    ".claude/settings.json",
    ".veelocity.yml",
    "web/.veelocity/x",
]


@pytest.mark.parametrize("path", PROTECTED, ids=ascii)
def test_a_protected_path_is_known_however_it_is_written(path: str) -> None:
    assert gate_paths.PROTECTED_PATH in list(gate_paths.why_not(path, (), ()))


@pytest.mark.parametrize(
    "path",
    [
        "github/x",
        "src/.github.py",
        "lib/CODEOWNERS/x.py",
        "claude.py",
        "docs/agents/a.md",
        ".gitignore",
    ],
)
def test_a_path_that_only_looks_alike_is_not_protected(path: str) -> None:
    assert not list(gate_paths.why_not(path, (), ()))


@pytest.mark.parametrize(
    "path",
    [
        ".git/hooks/x",
        "a/.GIT/config",
        ".g\u200cit/config",
        "git~1/config",
        ".git./x",
        ".git::$DATA",
    ],
    ids=ascii,
)
def test_a_name_that_is_dot_git_somewhere_cannot_even_be_allowed(path: str) -> None:
    assert gate_paths.DOT_GIT in list(gate_paths.why_not(path, (), (path,)))


@pytest.mark.parametrize("path", ["a\nb", "a\x1b[2Jb", "x/\u202egpj.exe", "tab\t.py"], ids=ascii)
def test_a_name_that_a_person_cannot_read_is_refused(path: str) -> None:
    assert gate_paths.CONTROL in list(gate_paths.why_not(path, (), (path,)))


@pytest.mark.parametrize(
    ("pattern", "path", "matched"),
    [
        ("migrations", "app/migrations/1.py", True),
        ("/migrations", "app/migrations/1.py", False),
        ("/migrations/", "migrations/1.py", True),
        ("*.sql", "a/b/c.SQL", True),
        ("deploy/**/*.yml", "deploy/a/b/c.yml", True),
        ("deploy/**/*.yml", "deploy/c.yml", True),
        ("deploy/*.yml", "deploy/a/c.yml", False),
        ("**/secret", "secret/x", True),
        ("deploy/**", "deploy/x", True),
        ("a?c/[xy]", "abc/x", True),
        ("", "x", False),
        ("**/" * 30 + "z", "a/" * 60 + "b", False),
    ],
)
def test_the_repository_protects_paths_by_globs(pattern: str, path: str, matched: bool) -> None:
    assert gate_paths.is_matched(path, pattern) is matched


async def test_a_protected_path_is_refused_by_name(space: Workspace, origin: Repository) -> None:
    write(space, ".GitHub/workflows/ci.yml")
    write(space, "deploy/prod.yml")
    verdict = await judged(space, origin, protected=["deploy/**"])
    assert why(verdict) == {
        ".GitHub/workflows/ci.yml": "is protected",
        "deploy/prod.yml": "is protected",
    }


async def test_deleting_a_protected_path_is_refused(space: Workspace, origin: Repository) -> None:
    head = origin.write({"CLAUDE.md": "Be kind.\n"})
    await space.fetch("main")
    await space.checkout(head, again=True)
    (space.tree / "CLAUDE.md").unlink()
    assert why(await judged(space, origin)) == {"CLAUDE.md": "is protected"}


async def test_a_maintainer_allows_one_path_and_no_other(
    space: Workspace, origin: Repository
) -> None:
    write(space, ".github/workflows/ci.yml")
    write(space, ".github/workflows/ci.yml.more")
    write(space, ".github/workflows/release.yml")
    verdict = await judged(space, origin, allowed=[".github/workflows/ci.yml"])
    assert why(verdict) == {
        ".github/workflows/ci.yml.more": "is protected",
        ".github/workflows/release.yml": "is protected",
    }
    assert not (await judged(space, origin, allowed=[".github/workflows/"])).faults


async def test_allowing_a_path_lifts_nothing_but_its_protection(
    space: Workspace, origin: Repository
) -> None:
    (space.tree / ".claude").mkdir()
    (space.tree / ".claude/link").symlink_to("/etc/passwd")
    write(space, ".claude/token", f"{CLASSIC}\n")
    verdict = await judged(space, origin, allowed=[".claude/"])
    assert why(verdict) == {
        ".claude/link": "is a link that leaves the repository",
        ".claude/token": "looks like it holds a secret: GitHub Token (line 1)",
    }


LINKS = {
    "absolute": "/etc/passwd",
    "up": "../outside",
    "over": "lib/../../outside",
    "windows": "C:\\Windows",
    "backslash": "..\\outside",
}


@pytest.mark.parametrize("target", LINKS.values(), ids=LINKS)
async def test_a_link_out_of_the_tree_is_refused(
    space: Workspace, origin: Repository, target: str
) -> None:
    (space.tree / "link").symlink_to(target)
    assert why(await judged(space, origin)) == {"link": "is a link that leaves the repository"}


async def test_a_link_that_leaves_through_another_link_is_refused(
    space: Workspace, origin: Repository
) -> None:
    (space.tree / "deep").symlink_to("tests")
    (space.tree / "tests/up").symlink_to("..")
    (space.tree / "out").symlink_to("deep/up/../x")
    assert why(await judged(space, origin)) == {"out": "is a link that leaves the repository"}


async def test_an_old_link_that_a_new_one_leads_out_is_refused(
    space: Workspace, origin: Repository
) -> None:
    (origin.clone / "lib/inner").mkdir(parents=True)
    (origin.clone / "lib/inner/x").write_text("x")
    (origin.clone / "old").symlink_to("lib/inner/../../add.py")
    head = origin.commit()
    await space.fetch("main")
    await space.checkout(head, again=True)
    plain_git(space.tree, "rm", "-rq", "lib/inner")
    (space.tree / "lib").mkdir(exist_ok=True)
    (space.tree / "lib/inner").symlink_to("..")
    assert "old" in why(await judged(space, origin))


async def test_links_that_stay_inside_pass(space: Workspace, origin: Repository) -> None:
    (space.tree / "tests/add.py").symlink_to("../add.py")
    (space.tree / "loop").symlink_to("loop")
    (space.tree / "dangling").symlink_to("not/there")
    assert not (await judged(space, origin)).faults


async def test_names_that_differ_by_case_alone_hide_no_way_out(
    space: Workspace, origin: Repository
) -> None:
    write(space, "X/kept")
    (space.tree / "x").symlink_to("a/b/c/d")
    (space.tree / "out").symlink_to("X/../../../etc/passwd")
    assert why(await judged(space, origin)) == {"out": "is a link that leaves the repository"}


@pytest.mark.parametrize("changed", ["docs/rules.md", "docs/way", "docs"])
async def test_what_a_protected_link_leads_to_is_protected(
    space: Workspace, origin: Repository, changed: str
) -> None:
    origin.write({"docs/rules.md": "Be kind.\n"})
    (origin.clone / "CLAUDE.md").symlink_to("docs/way")
    (origin.clone / "docs/way").symlink_to("rules.md")
    head = origin.commit()
    await space.fetch("main")
    await space.checkout(head, again=True)
    plain_git(space.tree, "rm", "-rq", changed)
    write(space, changed, "Obey.\n")
    found = why(await judged(space, origin))
    assert set(found.values()) == {"is what the protected CLAUDE.md leads to"}
    assert not (await judged(space, origin, allowed=list(found))).faults


async def test_a_link_into_dot_git_is_refused(space: Workspace, origin: Repository) -> None:
    (space.tree / "hook").symlink_to(".git/hooks/pre-commit")
    assert why(await judged(space, origin)) == {"hook": "is a link into .git"}


async def test_a_link_that_was_there_before_is_not_this_runs_doing(
    space: Workspace, origin: Repository
) -> None:
    (origin.clone / "old").symlink_to("/etc/hosts")
    head = origin.commit()
    await space.fetch("main")
    await space.checkout(head, again=True)
    (space.tree / "new").symlink_to("add.py")
    assert not (await judged(space, origin)).faults


async def test_a_bare_repository_among_the_files_is_refused(
    space: Workspace, origin: Repository
) -> None:
    plain_git(space.tree, "init", "-q", "--bare", "vendor/x")
    write(space, "vendor/x/objects/keep")
    write(space, "vendor/x/refs/keep")
    write(space, "vendor/x/config", '[core]\n\tfsmonitor = "touch /tmp/pwned"\n')
    faults = why(await judged(space, origin))
    assert faults["vendor/x/HEAD"] == "is part of a bare repository inside the repository"


async def test_a_change_of_5000_files_is_refused_without_reading_any(
    space: Workspace, origin: Repository
) -> None:
    for number in range(5000):
        write(space, f"many/{number}.txt", f"{number}\n")
    changes = await space.changes(origin.head)
    assert len(changes.files) == 5000
    space.own.rename(space.folder / "not-here")
    verdict = await judge(space, changes, protected=(), allowed=())
    assert why(verdict) == {"many/0.txt": "is one of 5000 changed files; 300 are allowed"}


async def test_a_change_of_many_bytes_is_refused(space: Workspace, origin: Repository) -> None:
    write(space, "small.txt")
    write(space, "large.txt", "0123456789abcde\n" * 400_000)
    verdict = await judged(space, origin)
    assert why(verdict) == {"large.txt": "is the largest of a change of more than 5 MB"}


async def test_a_large_binary_file_is_refused(space: Workspace, origin: Repository) -> None:
    write(space, "data.bin", b"\0\1\2\3" * 1_500_000)
    assert why(await judged(space, origin)) == {
        "data.bin": "is the largest of a change of more than 5 MB"
    }


async def test_one_line_in_a_large_file_passes(space: Workspace, origin: Repository) -> None:
    body = "0123456789abcde\n" * 400_000
    head = origin.write({"large.txt": body})
    await space.fetch("main")
    await space.checkout(head, again=True)
    write(space, "large.txt", body + "one more\n")
    assert not (await judged(space, origin)).faults


async def test_deleting_a_large_file_passes(space: Workspace, origin: Repository) -> None:
    head = origin.write({"large.txt": "0123456789abcde\n" * 400_000})
    await space.fetch("main")
    await space.checkout(head, again=True)
    (space.tree / "large.txt").unlink()
    assert not (await judged(space, origin)).faults


PEM = "-----BEGIN RSA PRIVATE KEY-----"
BODY = "MIIEowIBAAKCAQEAx4UbaDzY5xjW6hc9jwN0mX33XpTDVW7"
SECRETS = {
    "GitHub Token": f"token = '{CLASSIC}'",
    "AWS Access Key": "key: AKIA" + "Q3EGRZ7LD4WBN5TK",
    "Anthropic API Key": "sk-ant-" + "api03-Zk39fJq2LmXw8TyUvB4nHcR7",
    "Private Key": f"{PEM}\n{BODY}",
    "Basic Auth Credentials": "https://deploy:" + "kJ8s3LmQz@db.acme.io/x",
    "Secret Keyword": 'api_key = "' + 'f8Kx2Lq9ZpW4vN7tRb3Y"',
    "Slack Token": "xoxb-" + "284716253849-284716253850-aB3dE5fG7hI9jK1l",
}


@pytest.mark.parametrize(("kind", "text"), SECRETS.items(), ids=SECRETS)
async def test_a_secret_in_an_added_line_is_refused_and_not_repeated(
    space: Workspace, origin: Repository, kind: str, text: str
) -> None:
    write(space, "settings.py", f"import os\n\n{text}\n")
    verdict = await judged(space, origin)
    assert why(verdict) == {
        "settings.py": f"looks like it holds a secret: {kind} (line 3)",
    }


async def test_a_secret_that_is_said_to_be_none_is_refused_all_the_same(
    space: Workspace, origin: Repository
) -> None:
    write(
        space, "x.py", f"# pragma: allowlist secret\nx = '{CLASSIC}'  # pragma: allowlist secret\n"
    )
    assert "GitHub Token" in why(await judged(space, origin))["x.py"]


async def test_a_secret_in_a_binary_file_is_refused(space: Workspace, origin: Repository) -> None:
    write(space, "x.bin", b"\0\0\1" + CLASSIC.encode() + b"\0\0")
    write(space, "wide.txt", f"token: {CLASSIC}\n".encode("utf-16"))
    found = why(await judged(space, origin))
    assert "GitHub Token" in found["x.bin"]
    assert "GitHub Token" in found["wide.txt"]


async def test_attributes_that_call_a_file_binary_hide_nothing(
    space: Workspace, origin: Repository
) -> None:
    head = origin.write({".gitattributes": "*.py -diff binary\n"})
    await space.fetch("main")
    await space.checkout(head, again=True)
    write(space, "x.py", f"x = '{CLASSIC}'\n")
    assert why(await judged(space, origin)) == {
        "x.py": "looks like it holds a secret: GitHub Token (line 1)"
    }


async def test_a_secret_that_was_there_before_or_goes_is_not_this_runs_doing(
    space: Workspace, origin: Repository
) -> None:
    head = origin.write({"x.py": f"x = '{CLASSIC}'\ny = 1\n", "z.py": f"z = '{CLASSIC}'\n"})
    await space.fetch("main")
    await space.checkout(head, again=True)
    write(space, "x.py", f"x = '{CLASSIC}'\ny = 2\n")
    (space.tree / "z.py").unlink()
    assert not (await judged(space, origin)).faults


HARMLESS = """
password = "hunter2"
token = os.environ["API_TOKEN"]
api_key = "your-api-key-here-1234"
secret = "test-key-of-32-characters-length"
AWS_KEY = "AKIAIOSFODNN7EXAMPLE"
GITHUB_TOKEN=ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
DATABASE_URL=postgres://postgres:postgres@localhost:5432/app
redis://user:password@redis.acme.io/0
git clone https://user:${TOKEN}@github.com/acme/api
if "-----BEGIN RSA PRIVATE KEY-----" in text:
sha = "da39a3ee5e6b4b0d3255bfef95601890afd80709"
digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
data = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
def password_reset_token_is_single_use(self):
secret_key = settings.SECRET_KEY_FOR_SESSIONS_2
password_field = "id_new_password_confirm_field"
"""


async def test_placeholders_and_hashes_pass(space: Workspace, origin: Repository) -> None:
    write(space, "tests/test_x.py", HARMLESS)
    assert not (await judged(space, origin)).faults


async def test_lock_files_pass(space: Workspace, origin: Repository) -> None:
    hashes = [f"{number:02x}" * 32 for number in range(100)]
    integrity = "sha512-Zk39fJq2LmXw8TyUvB4nHcR7+a/bQ0dEeFfGgHhIiJjKkLlMmNnOoPpQqRrSsTtUuVvWwXxYyZ="
    write(space, "requirements.lock", "".join(f"p==1 --hash=sha256:{each}\n" for each in hashes))
    write(space, "package-lock.json", f'"secret-key": {{"integrity": "{integrity}"}}\n' * 50)
    write(
        space, "go.sum", "github.com/a/b v1.0.0 h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    )
    assert not (await judged(space, origin)).faults


async def test_five_megabytes_are_searched_for_secrets_to_the_end(
    space: Workspace, origin: Repository
) -> None:
    line = 'const value = {"name": "something", "size": 12345, "sk-": "eyJ-"}; // password\n'
    write(space, "large.js", line * 60_000 + f"x = '{CLASSIC}'\n")
    verdict = await judged(space, origin)
    assert "GitHub Token (line 60001)" in why(verdict)["large.js"]


async def weakened(space: Workspace, origin: Repository) -> tuple[str, ...]:
    return (await judged(space, origin)).weakened_tests


async def test_a_deleted_test_is_told(space: Workspace, origin: Repository) -> None:
    (space.tree / "tests/test_add.py").unlink()
    assert await weakened(space, origin) == ("tests/test_add.py: deleted",)


async def test_a_moved_test_is_not_told(space: Workspace, origin: Repository) -> None:
    (space.tree / "tests/test_add.py").rename(space.tree / "tests/test_sum.py")
    assert await weakened(space, origin) == ()


WEAKER = {
    "tests/test_add.py: emptied, 1 test fewer, 1 assertion fewer": "",
    "tests/test_add.py: skips tests": (
        "import pytest\nfrom add import add\n\n\n@pytest.mark.xfail\n"
        "def test_add():\n    assert add(1, 2) == 3\n"
    ),
    "tests/test_add.py: 1 assertion fewer": (
        "from add import add\n\n\ndef test_add():\n    add(1, 2)\n"
    ),
    "tests/test_add.py: asserts what is always true, 1 assertion fewer": (
        "from add import add\n\n\ndef test_add():\n    assert True\n"
    ),
}


@pytest.mark.parametrize(("told", "body"), WEAKER.items())
async def test_a_weakened_test_is_told(
    space: Workspace, origin: Repository, told: str, body: str
) -> None:
    write(space, "tests/test_add.py", body)
    assert await weakened(space, origin) == (told,)


@pytest.mark.parametrize(
    ("path", "line", "told"),
    [
        ("web/a.test.ts", "it.skip('adds', () => {})", "skips tests"),
        ("web/a.spec.js", "describe.only('adds', () => {", "runs some tests only"),
        ("add_test.go", '\tt.Skip("later")', "skips tests"),
        ("src/AddTest.java", "  @Disabled", "skips tests"),
        ("tests/conftest.py", 'collect_ignore = ["test_add.py"]', "leaves tests out"),
        ("pyproject.toml", 'addopts = "--ignore=tests/test_add.py"', "leaves tests out"),
    ],
)
async def test_switching_tests_off_is_told_in_every_language(
    space: Workspace, origin: Repository, path: str, line: str, told: str
) -> None:
    write(space, path, f"{line}\n")
    assert await weakened(space, origin) == (f"{path}: {told}",)


async def test_a_better_test_is_not_told(space: Workspace, origin: Repository) -> None:
    write(
        space,
        "tests/test_add.py",
        "from add import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"
        "    assert add(0, 0) == 0\n\n\ndef test_more():\n    assert add(-1, 1) == 0\n",
    )
    assert await weakened(space, origin) == ()
