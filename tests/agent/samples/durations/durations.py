"""Durations as people write them."""

import re

SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def parse(text):
    """Return the seconds of a duration such as 1h30m; raise ValueError for anything else."""
    total = 0
    for amount, unit in re.findall(r"(\d+)\s*([dhms])", text):
        total += int(amount) * SECONDS[unit]
    return total


def spell(seconds):
    """Return seconds as a duration, in the largest units."""
    if seconds == 0:
        return "0s"
    words = []
    for unit, size in SECONDS.items():
        count, seconds = divmod(seconds, size)
        if count:
            words.append(f"{count}{unit}")
    return "".join(words)
