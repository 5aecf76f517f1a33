#!/usr/bin/env python3
"""Fails when a test stands in the tree and nobody runs it.

 - every *_test.cc under tests/ and every fuzz/*_fuzz.cc is compiled in the build folder;
 - every program that one of them went into is a test of ctest, and so is every *_test.py under tests/;
 - every folder of tests/cases/ is named by a *_test.cc that runs its files;
 - no test is switched off with DISABLED_.

usage: check_tests_run.py --build FOLDER [--root FOLDER]
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys


def compiled(build):
    """Source -> the CMake targets that compile it."""
    targets = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = pathlib.Path(entry["directory"], entry["file"]).resolve()
        found = re.search(r"CMakeFiles/([^/]+)\.dir/", entry.get("output", "") + " " + entry["command"])
        targets.setdefault(path, set()).add(found.group(1) if found else "")
    return targets


def registered(build):
    """The command lines of all tests that ctest knows."""
    listing = subprocess.run(["ctest", "--test-dir", build, "--show-only=json-v1"], capture_output=True, check=True)
    return [" ".join(test.get("command", [])) for test in json.loads(listing.stdout)["tests"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    arguments = parser.parse_args()
    root = arguments.root.resolve()

    problems = []
    targets = compiled(arguments.build)
    commands = registered(arguments.build)
    sources = sorted([*(root / "tests").rglob("*_test.cc"), *(root / "fuzz").glob("*_fuzz.cc")])
    for source in sources:
        name = source.relative_to(root)
        programs = targets.get(source, set())
        if not programs:
            problems.append(f"{name}: not compiled; is its folder in tests/CMakeLists.txt?")
        elif not any(re.search(rf"/{re.escape(program)}(\s|$)", command) for program in programs
                     for command in commands):
            problems.append(f"{name}: compiled into {', '.join(sorted(programs))}, which ctest does not run")
        for number, line in enumerate(source.read_text(errors="replace").splitlines(), 1):
            if "DISABLED_" in line:
                problems.append(f"{name}:{number}: a disabled test; mend it or remove it")
    scripts = sorted((root / "tests").rglob("*_test.py"))
    for script in scripts:
        if not any(str(script) in command for command in commands):
            problems.append(f"{script.relative_to(root)}: ctest does not run it")
    text = "\n".join(source.read_text(errors="replace") for source in sources)
    cases = root / "tests/cases"
    for folder in sorted(path for path in cases.iterdir() if path.is_dir()) if cases.is_dir() else []:
        if f"cases/{folder.name}" not in text:
            problems.append(f"{folder.relative_to(root)}: no *_test.cc names this folder of cases")
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        print(f"tests: {len(problems)} tests are not run", file=sys.stderr)
        return 1
    print(f"tests: {len(sources) + len(scripts)} test files, all run by the {len(commands)} tests of ctest")
    return 0


if __name__ == "__main__":
    sys.exit(main())
