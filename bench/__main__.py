"""The benchmarks: `python -m bench [PART] [--quick]`; without a part all of them are run.

They print figures and whether goals were met, and fail only where something is wrong, never where
it is slow.
"""

import argparse
import sys

from bench import (
    agent,
    backfill,
    blame,
    builds,
    ingest,
    metrics,
    recover,
    rules,
    sandbox,
    settle,
    slack,
    start,
    turns,
)
from bench.report import machine, say
from bench.stage import stage
from models.errors import Refused

PARTS = {
    "ingest": ingest.run,
    "settle": settle.run,
    "recover": recover.run,
    "backfill": backfill.run,
    "slack": slack.run,
    "metrics": metrics.run,
    "builds": builds.run,
    "blame": blame.run,
    "rules": rules.run,
    "start": start.run,
    "sandbox": sandbox.run,
    "turns": turns.run,
    "agent": agent.run,
}


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("part", nargs="?", default="all", choices=[*PARTS, "all"])
    parser.add_argument("--quick", action="store_true", help="less of everything, in a minute")
    asked = parser.parse_args()
    say(machine())
    try:
        with stage() as on:
            for name, run in PARTS.items():
                if asked.part in (name, "all"):
                    say("")
                    run(on, quick=asked.quick)
    except Refused as refusal:
        sys.exit(str(refusal))


if __name__ == "__main__":
    main()
