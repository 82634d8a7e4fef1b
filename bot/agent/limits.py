"""What a run may use, against what it has used."""

from decimal import Decimal

from bot.agent.conversation import Limits, Used

NEARLY = 0.8
WORDS = {
    "usd": "The run reached its limit of ${:.2f}.",
    "turns": "The run reached its limit of {:,} turns.",
    "tokens": "The run reached its limit of {:,} tokens.",
    "seconds": "The run reached its limit of {:,.0f} seconds.",
}
WRAP_UP = (
    "More than {share:.0%} of what this run may use is used up ({what}). Finish now: leave the "
    "repository in a working state, and submit what you have, saying what is missing."
)
NAMES = {"usd": "money", "turns": "turns", "tokens": "tokens", "seconds": "time"}


def shares(limits: Limits, used: Used) -> dict[str, float]:
    """Return the part of each limit that is used up: 1 and more where it is reached."""
    return {
        name: part(getattr(used, name), getattr(limits, name))
        for name in ("usd", "turns", "tokens", "seconds")
    }


def part(used: Decimal | float, limit: Decimal | float) -> float:
    """Return one part; a limit of nothing is reached from the start."""
    return float(used) / float(limit) if limit > 0 else 1.0


def reached(limits: Limits, used: Used) -> str | None:
    """Return the name of the first limit that is reached: usd, turns, tokens or seconds."""
    return next((name for name, share in shares(limits, used).items() if share >= 1), None)


def said(limits: Limits, name: str) -> str:
    """Return the sentence that says which limit was reached."""
    return WORDS[name].format(getattr(limits, name))


def wrap_up(limits: Limits, used: Used) -> str | None:
    """Return what the model is told once one of its limits is near; None before that."""
    near = [NAMES[name] for name, share in shares(limits, used).items() if share >= NEARLY]
    return WRAP_UP.format(share=NEARLY, what=", ".join(near)) if near else None
