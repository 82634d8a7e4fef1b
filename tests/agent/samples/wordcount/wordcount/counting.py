"""Counts words, whatever their case."""

import re
from collections import Counter


def counted(text):
    """Return each word with how often it comes, the most frequent first, then by alphabet."""
    words = Counter(re.findall(r"[^\W\d_]+", text.lower()))
    return sorted(words.items(), key=lambda each: (-each[1], each[0]))
