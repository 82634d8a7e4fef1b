"""What customers owe."""

from decimal import ROUND_HALF_UP, Decimal


def total(lines, tax):
    """Return the sum of an invoice with its tax, rounded to cents."""
    net = sum((price * count for price, count in lines), Decimal(0))
    return (net * (1 + tax)).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
