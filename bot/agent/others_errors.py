"""What pydantic-ai's errors mean, in the same kinds as Claude's.

<https://ai.pydantic.dev/api/exceptions/>
"""

from typing import TYPE_CHECKING, Any

from bot.agent.trouble import Kind, Maker, ModelError, of_status

if TYPE_CHECKING:
    from pydantic_ai.exceptions import ModelAPIError

BROKEN = "the answer could not be read: {said}"
TOO_SLOW = "the answer was not complete after {seconds:.0f} seconds (CLAUDE_TIMEOUT)"
NO_CREDIT = frozenset({"insufficient_quota", "billing_not_active", "billing_hard_limit_reached"})
BAD_KEYS = ("api key not valid", "api_key_invalid")
OVERFLOWS = ("maximum context length", "exceeds the maximum number of tokens", "context window")


def told_of(error: Exception, maker: Maker) -> ModelError:
    """Return what happened to a try in words, and whether another may help."""
    from pydantic_ai import exceptions as ai

    if isinstance(error, ai.ModelConnectionError):
        return maker.trouble("unreachable", str(error.__cause__ or error), passing=True)
    if isinstance(error, ai.ModelAPIError):
        return refused(error, maker)
    if isinstance(error, ai.UserError):
        return maker.trouble("request", str(error))
    return maker.trouble("unreachable", BROKEN.format(said=error), passing=True)


def refused(error: "ModelAPIError", maker: Maker) -> ModelError:
    """Return what an error that the API sent means."""
    status = getattr(error, "status_code", None)
    said = said_in(error.body) or str(error)
    kind, passing = kind_of(error, status, said.lower())
    if passing and getattr(error, "should_retry", None) is False:
        passing = False
    if passing and status:
        said = f"{said} ({status})"
    return maker.trouble(kind, said, passing=passing, retry_after=error.retry_after)


def kind_of(error: "ModelAPIError", status: int | None, said: str) -> tuple[Kind, bool]:
    """Return the kind of an error, and whether to try again may help."""
    from pydantic_ai import exceptions as ai

    if isinstance(error, ai.ModelQuotaExceededError):
        billing = status == 402 or error.provider_error_code in NO_CREDIT
        return ("billing" if billing else "spend"), False
    rejected = isinstance(error, ai.ModelRequestRejectedError)
    if isinstance(error, ai.ModelContextWindowExceededError) or (
        rejected and any(words in said for words in OVERFLOWS)
    ):
        return "context", False
    if any(words in said for words in BAD_KEYS):
        return "key", False
    if isinstance(error, ai.ModelNotFoundError):
        return "model", False
    return of_status(status) if status else ("overloaded", True)


def said_in(body: Any) -> str:
    """Return the sentence in an error's body, which OpenAI and Google wrap differently."""
    if not isinstance(body, dict):
        return body if isinstance(body, str) else ""
    inner = body.get("error", body)
    return str(inner.get("message") or "") if isinstance(inner, dict) else str(inner)
