import unittest
from decimal import Decimal

from ledger.invoices import total
from ledger.receipts import change, share


class Ledger(unittest.TestCase):
    def test_an_invoice_has_its_tax(self):
        lines = [(Decimal("9.99"), 2), (Decimal("0.50"), 1)]
        self.assertEqual(total(lines, Decimal("0.19")), Decimal("24.37"))

    def test_receipts_are_shared(self):
        self.assertEqual(share(Decimal("10.00"), 4), Decimal("2.50"))

    def test_change_goes_back(self):
        self.assertEqual(change(Decimal("20.00"), Decimal("12.34")), Decimal("7.66"))


if __name__ == "__main__":
    unittest.main()
