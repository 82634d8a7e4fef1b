"""The tools as the model is told of them, in a fixed order, so that the cached prefix stays.

<https://docs.claude.com/en/docs/agents-and-tools/tool-use/bash-tool>,
<https://docs.claude.com/en/docs/agents-and-tools/tool-use/text-editor-tool>
"""

from collections.abc import Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]

BASH = "bash"
EDITOR = "str_replace_based_edit_tool"
SUBMIT = "submit"
PROGRESS = "report_progress"
ASK = "ask_people"


def function(name: str, description: str, **fields: Mapping[str, Any]) -> Schema:
    """Return the schema of a tool of ours; a field is needed unless it says `optional`."""
    told = {
        each: {key: said for key, said in field.items() if key != "optional"}
        for each, field in fields.items()
    }
    needed = [each for each, field in fields.items() if not field.get("optional")]
    schema = {
        "type": "object",
        "properties": told,
        "required": needed,
        "additionalProperties": False,
    }
    return {"name": name, "description": description, "input_schema": schema}


def words(description: str, **more: Any) -> dict[str, Any]:
    """Return the schema of a text."""
    return {"type": "string", "description": description, **more}


bash: Schema = {"type": "bash_20250124", "name": BASH}
editor: Schema = {"type": "text_editor_20250728", "name": EDITOR}
submit = function(
    SUBMIT,
    "Hand in the work and end. Call it once everything is done and the tests were run. What is in "
    "/repo is then tested, checked and published as a pull request; nothing needs to be committed.",
    title=words("The pull request's title: an imperative sentence of at most 70 characters."),
    summary=words(
        "Markdown for the reviewers: what was changed and why, what was decided where there was a "
        "choice, and what is left to do or was not tried."
    ),
    tests=words("Which tests were run, and what came of them.", optional=True),
)
progress = function(
    PROGRESS,
    "Show people what you do: the steps of the whole work, and which are done. Call it when you "
    "have a plan, and again whenever a step is done.",
    items={
        "type": "array",
        "description": "All steps in their order, 2 to 10 of them.",
        "items": {
            "type": "object",
            "properties": {
                "text": words("The step in a few words."),
                "done": {"type": "boolean", "description": "Whether it is done."},
            },
            "required": ["text", "done"],
            "additionalProperties": False,
        },
    },
)
ask = function(
    ASK,
    "Ask the people a question and end. Only for what neither the issue nor the repository "
    "answers and without which any work would be a guess. What is in /repo is kept.",
    question=words("The question, with the answers that you can think of."),
)
submit_plan = function(
    SUBMIT,
    "Hand in the plan and end. People read it, and approve it or say what to do otherwise. "
    "Nothing that was changed in /repo is kept.",
    title=words("The pull request's title that the work will have."),
    summary=words(
        "The plan in markdown: what will be changed in which files and why, how it will be tested, "
        "what is uncertain, and which questions the people should answer."
    ),
)

TOOLS: Sequence[Schema] = (bash, editor, submit, progress, ask)
"""The tools of a run that develops."""

PLAN_TOOLS: Sequence[Schema] = (bash, submit_plan)
"""The tools of a run that looks around and says what it would do."""
