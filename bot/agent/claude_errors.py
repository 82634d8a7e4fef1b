"""What the errors of Anthropic's API and SDK mean to a run.

<https://docs.claude.com/en/api/errors>
"""

from typing import TYPE_CHECKING

from bot.agent.trouble import Kind, Maker, ModelError, of_status, seconds_of

if TYPE_CHECKING:
    from anthropic import APIStatusError

BY_TYPE: dict[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
}
"""What an error event in mid-stream would have been as an HTTP status; others are passing."""

SPENT = frozenset(
    {
        "enforced_spend_limit_reached",
        "contract_spend_limit_reached",
        "linked_organization_spend_limit_reached",
    }
)
TOO_LONG = ("prompt is too long", "exceed context limit", "exceeds the context window")
NO_CREDIT = ("credit balance is too low",)
TOO_SLOW = "the answer was not complete after {seconds:.0f} seconds (CLAUDE_TIMEOUT)"


def told_of(error: Exception, maker: Maker, seconds: float, *, silent: bool) -> ModelError:
    """Return what happened to a try in words, and whether another may help.

    An answer that was still being written (not `silent`) when its time of `seconds` was up would
    take as long again.
    """
    import anthropic

    if isinstance(error, anthropic.APIStatusError):
        return refused(error, maker)
    if type(error) is TimeoutError:
        late = TOO_SLOW.format(seconds=seconds)
        return maker.trouble("unreachable", late, passing=silent)
    if isinstance(error, anthropic.CredentialsError | TypeError):
        return maker.trouble("key", str(error))
    return maker.trouble("unreachable", said_by(error), passing=True)


def said_by(error: BaseException) -> str:
    """Return what a broken connection says of itself, which is often nothing."""
    cause = error.__cause__ or error
    return f"{type(cause).__name__}: {cause}".removesuffix(": ")


def refused(error: "APIStatusError", maker: Maker) -> ModelError:
    """Return what an error that the API sent means: by its status, its type and its code."""
    status = error.status_code
    if status == 200:
        status = BY_TYPE.get(str(error.type), 500)
    said = error.api_message or error.message
    kind, passing = of_status(status)
    kind = narrowed(kind, said, error.error_code)
    if kind not in ("overloaded", "unreachable"):
        passing = False
    elif "x-should-retry" in error.response.headers:
        passing = error.response.headers["x-should-retry"] == "true"
    if passing:
        said = f"{said} ({status})"
    after = seconds_of(error.response.headers.get("retry-after"))
    return maker.trouble(kind, said, passing=passing, retry_after=after)


def narrowed(kind: Kind, said: str, code: str | None) -> Kind:
    """Return what is meant where the status says too little."""
    words = said.lower()
    if code in SPENT:
        return "spend"
    if kind == "request" and any(each in words for each in TOO_LONG):
        return "context"
    if any(each in words for each in NO_CREDIT):
        return "billing"
    return kind
