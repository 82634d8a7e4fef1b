"""The command line: python3 -m wordcount FILE."""

import argparse
import sys
from pathlib import Path

from wordcount.counting import counted


def main(arguments=None, out=sys.stdout):
    """Print the words of a file."""
    parser = argparse.ArgumentParser(prog="wordcount")
    parser.add_argument("file", type=Path)
    asked = parser.parse_args(arguments)
    for word, count in counted(asked.file.read_text()):
        print(f"{count}\t{word}", file=out)


if __name__ == "__main__":
    main()
