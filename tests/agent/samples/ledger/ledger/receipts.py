"""What customers have paid."""

from decimal import Decimal


def share(amount, people):
    """Return what each of some people has paid, rounded to cents."""
    return round(amount / people, 2)


def change(given, amount):
    """Return what goes back over the counter, rounded to cents."""
    return (given - amount).quantize(Decimal("0.01"))
