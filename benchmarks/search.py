"""`anybit bench search` as a script: python benchmarks/search.py [--rows 1,2] [--output FILE]."""

import sys

from anybit.cli.app import app

if __name__ == "__main__":
    app(["bench", "search", *sys.argv[1:]])
