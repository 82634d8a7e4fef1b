import unittest

from durations import parse, spell


class Durations(unittest.TestCase):
    def test_units_add_up(self):
        self.assertEqual(parse("1d"), 86400)
        self.assertEqual(parse("1h30m"), 5400)
        self.assertEqual(parse("2m 5s"), 125)

    def test_what_is_spelled_can_be_parsed(self):
        for seconds in (1, 59, 60, 3661, 90000):
            self.assertEqual(parse(spell(seconds)), seconds)


if __name__ == "__main__":
    unittest.main()
