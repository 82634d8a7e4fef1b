"""What is done in each state of a run; `run.py` knows their order."""

from bot.agent.checking import gate, validate
from bot.agent.developing import develop, plan
from bot.agent.preparing import set_up
from bot.agent.publishing import publish

__all__ = ["develop", "gate", "plan", "publish", "set_up", "validate"]
