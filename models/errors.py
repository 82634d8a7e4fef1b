"""What is said to the person who asked."""


class Refused(Exception):
    """A sentence for the person who asked; said once, where they asked."""
