import io
import tempfile
import unittest
from pathlib import Path

from wordcount.__main__ import main


def said(text, *arguments):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "text"
        file.write_text(text)
        out = io.StringIO()
        main([str(file), *arguments], out)
    return out.getvalue()


class Command(unittest.TestCase):
    def test_the_most_frequent_comes_first(self):
        self.assertEqual(said("b a B"), "2\tb\n1\ta\n")


if __name__ == "__main__":
    unittest.main()
