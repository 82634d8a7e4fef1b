"""What is refused, and how it is said."""


class Refused(Exception):  # noqa: N818 - it is an answer, not a fault
    """A sentence for the person who asked; said once, where they asked."""
