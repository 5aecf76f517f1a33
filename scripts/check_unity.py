#!/usr/bin/env python3
"""Fails where sources that `make build` compiles together do not compile together.

The release preset compiles a dozen sources of a module as one (METIER_UNITY): two helpers of one name in their unnamed
namespaces collide there and nowhere else. This configures that preset in a folder of its own and checks the syntax of
each such dozen.

usage: check_unity.py [--build FOLDER] [--jobs N]
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def check(entry):
    """The compiler's complaints about one dozen, or ''."""
    done = subprocess.run(f"{entry['command']} -fsyntax-only", shell=True, cwd=entry["directory"],
                          capture_output=True, text=True)
    return done.stderr if done.returncode != 0 else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", default=ROOT / "build/unity", type=pathlib.Path)
    parser.add_argument("--jobs", default=os.cpu_count(), type=int)
    options = parser.parse_args()
    # Without the plug-in: reading LibTorch takes as long as all the others.
    subprocess.run(["cmake", "--preset", "release", "-B", options.build, "-DMETIER_TESTS=OFF", "-DMETIER_TRAIN=OFF",
                    "-DMETIER_PCH=OFF", "--log-level=WARNING"], cwd=ROOT, check=True)
    entries = json.loads((options.build / "compile_commands.json").read_text())
    dozens = [entry for entry in entries if "/Unity/" in entry["file"]]
    if not dozens:
        sys.exit("unity: found no sources that are compiled together, expected those of METIER_UNITY; "
                 "did its folder or its name change?")
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        complaints = [text for text in pool.map(check, dozens) if text]
    for text in complaints:
        print(text, file=sys.stderr)
    if complaints:
        sys.exit(f"unity: {len(complaints)} of {len(dozens)} dozens do not compile; give one of the names another")
    print(f"unity: {len(dozens)} dozens compile together")


if __name__ == "__main__":
    main()
