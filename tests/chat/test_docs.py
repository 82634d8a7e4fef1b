"""docs/slack-commands.md says of every command what the command says of itself."""

from pathlib import Path

from bot.chat.commands import COMMANDS

DOCS = Path(__file__).parents[2] / "docs" / "slack-commands.md"
WHO = {None: "anybody in the workspace", "viewer": "viewers", "manager": "managers"}


def test_every_command_is_in_the_docs_with_its_role_and_its_help() -> None:
    told = [line for line in DOCS.read_text().splitlines() if line.startswith("- `/veelocity")]
    assert told == [
        f"- `/veelocity {each.usage}` ({WHO[each.role]}): {each.help}" for each in COMMANDS.all
    ]
