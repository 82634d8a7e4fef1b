"""The model's tools over the real sandbox."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from bot.agent.conversation import ToolResult
from bot.agent.sandbox import Sandbox
from bot.agent.schemas import PLAN_TOOLS, TOOLS
from bot.agent.tools import Toolbox
from tests.fakes.anthropic_rules import check_tools

EDITOR = "str_replace_based_edit_tool"


class Tools:
    """A toolbox, and whom it told what."""

    def __init__(self, box: Sandbox) -> None:
        self.steps: list[tuple[dict[str, Any], ToolResult]] = []
        self.progress: list[Any] = []
        self.toolbox = Toolbox(box, self.on_progress, self.on_step)

    async def on_progress(self, items: list[dict[str, Any]]) -> None:
        self.progress.append(items)

    async def on_step(self, block: dict[str, Any], result: ToolResult) -> None:
        self.steps.append((block, result))

    async def use(self, name: str, given: Any = None, **more: Any) -> ToolResult:
        told = {"type": "tool_use", "id": "toolu_1", "name": name, "input": given or more}
        return await self.toolbox.execute(told)

    async def bash(self, command: str, **more: Any) -> str:
        return (await self.use("bash", command=command, **more)).text

    async def edit(self, command: str, path: str, **more: Any) -> ToolResult:
        return await self.use(EDITOR, command=command, path=path, **more)


@pytest.fixture
def tools(box: Sandbox) -> Tools:
    return Tools(box)


def test_the_api_takes_the_tools_and_their_order_is_fixed():
    for offered in (TOOLS, PLAN_TOOLS):
        check_tools(list(offered))
    assert [tool["name"] for tool in TOOLS] == [
        "bash",
        EDITOR,
        "submit",
        "report_progress",
        "ask_people",
    ]
    json.dumps(TOOLS)


async def test_output_and_exit_status_are_told(tools: Tools):
    assert await tools.bash("echo out; echo err >&2") == "out\nerr"
    assert await tools.bash("echo out; exit 3") == "out\n[exit status 3]"
    assert await tools.bash("true") == "(no output)"
    assert [result.failed for _, result in tools.steps] == [False, True, False]


async def test_directory_and_exported_variables_are_kept_between_commands(tools: Tools):
    await tools.bash("mkdir -p 'a b'; cd 'a b'; export WORD='x\n$y'; LOCAL=1; false")
    assert await tools.bash('pwd; echo "$WORD"; echo "[$LOCAL]"') == "/repo/a b\nx\n$y\n[]"
    await tools.use("bash", restart=True)
    assert await tools.bash('pwd; echo "[$WORD]"') == "/repo\n[]"


async def test_a_directory_that_is_gone_leads_back_to_the_repository(tools: Tools):
    await tools.bash("mkdir gone; cd gone")
    assert await tools.bash("pwd; cd /repo; rmdir gone") == "/repo/gone"
    await tools.bash("mkdir gone; cd gone; rmdir /repo/gone")
    assert await tools.bash("pwd") == "/repo"


async def test_what_was_done_to_the_kept_state_cannot_hold_up_the_next_command(tools: Tools):
    await tools.bash("trap - EXIT; rm -f /tmp/.shell; mkfifo /tmp/.shell")
    assert await tools.bash("echo here", timeout=10) == "here"


@pytest.mark.parametrize(
    "command", ["echo 'a\"b'", "cat <<'E'\na'b\nE", "echo $((1+1)) # '", "if", "exec true"]
)
async def test_a_command_means_what_it_means_to_bash(tools: Tools, command: str):
    plain = await tools.toolbox.sandbox.run(command)
    told = await tools.use("bash", command=command)
    assert told.failed == bool(plain.code)
    if not plain.code:
        assert told.text == (plain.output.strip() or "(no output)")


async def test_long_output_is_shortened_and_its_whole_is_in_the_sandbox_and_the_log(tools: Tools):
    result = await tools.use("bash", command="seq 20000")
    assert len(result.text) < 10_300
    assert "\n3\n" in result.text
    assert result.text.endswith("20000\n[the full output is in /tmp/output-toolu_1.txt]")
    assert await tools.bash("sed -n 10000p /tmp/output-toolu_1.txt") == "10000"
    assert result.whole
    assert "\n10000\n" in result.whole


async def test_short_output_has_nothing_more_to_it(tools: Tools):
    result = await tools.use("bash", command="seq 10")
    assert result.whole is None


async def test_a_command_that_takes_too_long_is_ended_and_said(tools: Tools):
    result = await tools.use("bash", command="echo begun; sleep 60", timeout=1)
    assert result.failed
    assert "begun" in result.text
    assert "stopped after 1 seconds" in result.text
    assert "`timeout`" in result.text
    assert 1 <= result.seconds < 30


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("bash", {}, "`command` is missing."),
        ("bash", {"command": 5}, "`command` must be a text."),
        ("bash", {"command": " "}, "`command` is empty."),
        ("bash", {"command": "ls", "timeout": "soon"}, "`timeout` must be a whole number."),
        ("bash", {"command": "ls", "timeout": True}, "`timeout` must be a whole number."),
        ("bash", ["ls"], "must be an object"),
        ("bash", "ls", "must be an object"),
        ("bash", {"command": "echo \0"}, "NUL byte"),
        ("bash", {"command": ": " + "x" * 200_000}, "write a file first"),
        ("rm", {"x": 1}, "There is no tool rm. There are: bash,"),
        ("submit", {"title": "T"}, "`summary` is missing."),
        ("submit", {"title": "", "summary": "S"}, "`title` is empty."),
        ("ask_people", {"question": None}, "`question` is missing."),
        ("report_progress", {"items": "all"}, "`items` must be a list."),
        ("report_progress", {"items": ["all"]}, "Each of `items`"),
        (EDITOR, {"command": "undo_edit", "path": "a"}, "`command` must be view"),
        (EDITOR, {"command": "view"}, "`path` is missing."),
        (EDITOR, {"command": "create", "path": "a"}, "`file_text` is missing."),
        (EDITOR, {"command": "create", "path": "a\nb", "file_text": ""}, "no file can have"),
        (EDITOR, {"command": "create", "path": "a\0b", "file_text": ""}, "no file can have"),
        (EDITOR, {"command": "create", "path": "a", "file_text": "\ud800"}, "no file can have"),
        (EDITOR, {"command": "create", "path": "a", "file_text": "x" * 400_000}, "350,000 bytes"),
    ],
)
async def test_what_the_model_gives_wrong_is_said_to_it(tools: Tools, name, given, words):
    result = await tools.use(name, given)
    assert result.failed
    assert words in result.text
    assert tools.steps[0][1] == result
    assert isinstance(tools.steps[0][0]["input"], dict)


async def test_progress_is_reported_in_as_many_words_as_people_read(tools: Tools):
    items = [{"text": "Read\n the code", "done": True}, {"text": "y" * 999, "done": "yes"}]
    assert not (await tools.use("report_progress", items=items)).failed
    assert tools.progress == [
        [{"text": "Read the code", "done": True}, {"text": "y" * 200, "done": False}]
    ]


async def test_a_whole_submission_is_taken(tools: Tools):
    assert not (await tools.use("submit", title="T", summary="S", tests="ran")).failed
    assert not (await tools.use("ask_people", question="Which?")).failed


async def test_a_file_is_made_seen_and_changed(tools: Tools):
    made = await tools.edit("create", "/repo/new folder/a.py", file_text="one\ntwo\n")
    assert made.text == "/repo/new folder/a.py was written: 2 lines."
    assert (await tools.edit("view", "new folder/a.py")).text == "     1\tone\n     2\ttwo"
    changed = await tools.edit("str_replace", "new folder/a.py", old_str="two", new_str="2\n3")
    assert changed.text.endswith("     1\tone\n     2\t2\n     3\t3")
    put = await tools.edit("insert", "new folder/a.py", insert_line=0, insert_text="zero")
    assert not put.failed
    await tools.edit("insert", "new folder/a.py", insert_line=4, insert_text="four\n")
    await tools.edit("str_replace", "new folder/a.py", old_str="one\n")
    assert await tools.bash("cat 'new folder/a.py'") == "zero\n2\n3\nfour"


async def test_a_text_that_is_replaced_must_be_there_exactly_once(tools: Tools):
    await tools.edit("create", "a", file_text="x = 1\ny = 1\nx = 1\n")
    twice = await tools.edit("str_replace", "a", old_str="x = 1", new_str="x = 2")
    assert twice.failed
    assert "2 times, in the lines 1, 3" in twice.text
    never = await tools.edit("str_replace", "a", old_str="x=1", new_str="x=2")
    assert never.failed
    assert "is not in /repo/a" in never.text
    empty = await tools.edit("str_replace", "a", old_str="", new_str="x")
    assert empty.failed
    assert await tools.bash("cat a") == "x = 1\ny = 1\nx = 1"


async def test_lines_are_counted_for_insert(tools: Tools):
    await tools.edit("create", "a", file_text="1\n2")
    beyond = await tools.edit("insert", "a", insert_line=3, insert_text="x")
    assert beyond.failed
    assert "0 (before the first line) to 2" in beyond.text
    await tools.edit("insert", "a", insert_line=2, insert_text="3")
    assert await tools.bash("cat -A a") == "1$\n2$\n3$"
    await tools.edit("create", "odd", file_text="a\u2028b\x0cc\nd\n")
    await tools.edit("insert", "odd", insert_line=1, insert_text="x")
    assert await tools.bash("sed -n 2p odd") == "x"


async def test_lines_of_windows_and_bytes_of_other_encodings_stay_as_they_are(tools: Tools):
    await tools.bash(r"printf 'one\r\ntwo\r\nthree \xe9\r\n' > a")
    changed = await tools.edit("str_replace", "a", old_str="one\ntwo", new_str="1\n2")
    assert not changed.failed
    assert await tools.bash("od -An -c a") == await tools.bash(
        r"printf '1\r\n2\r\nthree \xe9\r\n' | od -An -c"
    )


async def test_a_changed_file_keeps_its_mode_and_a_link_stays_a_link(tools: Tools):
    await tools.bash("echo one > a; chmod 755 a; ln -s a b")
    await tools.edit("str_replace", "b", old_str="one", new_str="two")
    assert await tools.bash("stat -c '%a %F' a b; cat a") == (
        "755 regular file\n777 symbolic link\ntwo"
    )


async def test_a_range_of_lines_is_shown(tools: Tools):
    await tools.bash("seq 100 > a")
    shown = (await tools.edit("view", "a", view_range=[98, -1])).text
    assert shown == "    98\t98\n    99\t99\n   100\t100"
    assert (await tools.edit("view", "a", view_range=[2, 3])).text == "     2\t2\n     3\t3"
    beyond = await tools.edit("view", "a", view_range=[101, 102])
    assert (beyond.failed, beyond.text) == (True, "/repo/a has 100 lines only.")


@pytest.mark.parametrize("lines", [[0, 5], [5, 4], [1], ["1", "2"], [1, -2], [True, 2], "1-2"])
async def test_a_range_must_be_one(tools: Tools, lines):
    await tools.bash("seq 100 > a")
    wrong = await tools.edit("view", "a", view_range=lines)
    assert wrong.failed
    assert "`view_range`" in wrong.text


async def test_a_long_file_is_shown_in_parts(tools: Tools):
    await tools.bash(
        "seq -f 'line %g' 200000 > long; head -c 3000000 /dev/zero | tr '\\0' x > wide"
    )
    shown = (await tools.edit("view", "long")).text
    assert len(shown) < 10_200
    assert shown.startswith("     1\tline 1\n")
    assert "of 200000 were shown" in shown
    assert len((await tools.edit("view", "wide")).text) < 10_200
    refused = await tools.edit("str_replace", "long", old_str="line 7\n", new_str="")
    assert refused.failed
    assert "350,000 bytes" in refused.text


async def test_a_folder_is_shown_two_levels_deep(tools: Tools):
    await tools.bash("mkdir -p a/b/c .git node_modules/x; touch a/b/f a/g a/.h .i node_modules/y")
    shown = (await tools.edit("view", "/repo")).text.splitlines()
    assert shown == [
        "/repo/",
        "/repo/a",
        "/repo/a/b",
        "/repo/a/g",
        "/repo/node_modules",
    ]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("none", "does not exist"),
        ("pipe", "no file"),
        ("binary", "is a binary file"),
        ("/etc/passwd", "outside"),
        ("../etc/passwd", "outside"),
        ("/repo/../proc/1/environ", "outside"),
        ("/repository", "outside"),
        ("$(touch /repo/pwned)", "does not exist"),
        ("'; touch /repo/pwned; '", "does not exist"),
        ("{names}", "does not exist"),
        ("-n", "does not exist"),
    ],
)
async def test_what_is_no_text_file_below_the_sandboxs_folders_is_not_opened(
    tools: Tools, path, words
):
    await tools.bash(r"mkfifo pipe; printf 'a\0b' > binary")
    for told in (
        await tools.edit("view", path),
        await tools.edit("str_replace", path, old_str="a", new_str="b"),
        await tools.edit("insert", path, insert_line=0, insert_text="x"),
    ):
        assert told.failed
        assert words in told.text
    assert "pwned" not in await tools.bash("ls")


async def test_nothing_is_written_where_no_file_can_be(tools: Tools):
    await tools.bash("mkdir folder; mkfifo pipe; touch file")
    for path, words in (
        ("folder", "is no file"),
        ("pipe", "is no file"),
        ("file/below", "could not be written: "),
        ("/tmp/../usr/bin/x", "is outside"),
    ):
        told = await tools.edit("create", path, file_text="x")
        assert told.failed
        assert words in told.text
    viewed = await tools.edit("str_replace", "folder", old_str="a", new_str="b")
    assert "is a folder" in viewed.text


async def test_the_host_never_follows_a_link_of_the_tree(
    tools: Tools, tmp_path_factory: pytest.TempPathFactory
):
    secret = tmp_path_factory.mktemp("host") / "secret"
    secret.write_text("of the host")
    (tools.toolbox.sandbox.work / "link").symlink_to(secret)
    (tools.toolbox.sandbox.work / "up").symlink_to(secret.parent)
    for path in ("link", "up/secret"):
        assert "of the host" not in (await tools.edit("view", path)).text
        await tools.edit("create", path, file_text="overwritten")
        await tools.edit("str_replace", path, old_str="of the host", new_str="x")
    assert secret.read_text() == "of the host"


async def test_an_empty_file_is_said_to_be_empty(tools: Tools):
    await tools.edit("create", "a", file_text="")
    assert (await tools.edit("view", "a")).text == "/repo/a is empty."
    await tools.edit("insert", "a", insert_line=0, insert_text="x")
    assert await tools.bash("cat a") == "x"


async def test_time_is_told_by_the_clock_that_was_given(box: Sandbox):
    tools = Tools(box)
    ticks: Callable[[], float] = iter([10.0, 12.5]).__next__
    toolbox = Toolbox(box, tools.on_progress, tools.on_step, ticks)
    told = await toolbox.execute(
        {"type": "tool_use", "id": "a", "name": "report_progress", "input": {"items": []}}
    )
    assert told.seconds == 2.5
