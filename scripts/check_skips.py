#!/usr/bin/env python3
"""Fails when a test was skipped for a reason that tests/allowed_skips.txt does not list.

Reads the log of the last ctest run. Where the shared fixtures are absent, the tests that need them may skip; where they
are present, a skip is a test that silently stopped testing.

usage: check_skips.py --build FOLDER [--allowed FILE]
"""

import argparse
import collections
import pathlib
import re
import sys

SKIP = re.compile(r"^(?P<place>\S+?):(?P<line>\d+): Skipped\n(?P<reason>.*)$", re.MULTILINE)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = pathlib.Path(__file__).resolve().parent.parent
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--allowed", type=pathlib.Path, default=root / "tests/allowed_skips.txt")
    arguments = parser.parse_args()

    log = arguments.build / "Testing/Temporary/LastTest.log"
    if not log.exists():
        print(f"skips: {log} is missing; run ctest first", file=sys.stderr)
        return 1
    allowed = [line.strip() for line in arguments.allowed.read_text().splitlines()
               if line.strip() and not line.startswith("#")]
    reasons = collections.Counter(found["reason"].strip() for found in SKIP.finditer(log.read_text(errors="replace")))
    refused = 0
    for reason, count in sorted(reasons.items()):
        known = any(reason.startswith(text) for text in allowed)
        refused += 0 if known else count
        print(f"skips: {count} x {reason}" + ("" if known else "  <- not in tests/allowed_skips.txt"))
    if refused:
        print(f"skips: {refused} tests were skipped for reasons that are not listed", file=sys.stderr)
        return 1
    print(f"skips: {sum(reasons.values())} tests skipped, all for listed reasons")
    return 0


if __name__ == "__main__":
    sys.exit(main())
