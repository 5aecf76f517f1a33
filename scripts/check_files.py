#!/usr/bin/env python3
"""Fails on files that break the rules every file of the tree keeps.

 - sources have at most 600 lines;
 - every folder of src/ that holds code has a README.md of at most 15 lines;
 - TODO stands with the number of an issue, "TODO(#12): ...", or not at all;
 - no path of a machine (/home/..., /root/..., /work/...);
 - no trailing white space, no tab in sources, a newline at the end of the last line, no carriage returns;
 - nothing above 1 MiB.

What may be longer or larger stands in scripts/file_exceptions.txt, each with its reason.

usage: check_files.py [--root FOLDER]
"""

import argparse
import pathlib
import re
import subprocess
import sys

MAX_LINES = 600
MAX_README_LINES = 15
MAX_BYTES = 1 << 20

# Files that may be longer or larger, each with its reason.
EXCEPTIONS = "scripts/file_exceptions.txt"

SOURCES = {".h", ".cc", ".py", ".sh", ".cmake", ".ts", ".tsx"}
TEXTS = SOURCES | {".md", ".txt", ".yaml", ".yml", ".json", ".case", ".supp", ""}
# Inputs of tests may hold any bytes.
FREE_FORM = ("fuzz/corpus/", "tests/data/", "tests/cases/", "tests/golden/")

MACHINE_PATH = re.compile(r"(?<![\w.$}*-])/(home/\w|root/|work/|Users/\w|mnt/\w)")
TODO = re.compile(r"\b(TODO|FIXME|XXX)\b(?!\(#\d+\))")


def tracked(root):
    """Files of the checkout, relative: git's list with new files, or a walk where there is no git."""
    git = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                         capture_output=True, check=False)
    top = subprocess.run(["git", "-C", root, "rev-parse", "--show-toplevel"], capture_output=True, check=False)
    if git.returncode == 0 and pathlib.Path(top.stdout.decode().strip()).resolve() == root:
        names = [name for name in git.stdout.decode().split("\0") if name]
    else:
        names = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
    return sorted(name for name in names if (root / name).is_file())


def check_text(name, text, may_be_long, problems):
    suffix = pathlib.PurePath(name).suffix
    lines = text.splitlines()
    if suffix in SOURCES and len(lines) > MAX_LINES and not may_be_long:
        problems.append(f"{name}:{MAX_LINES + 1}: {len(lines)} lines, the ceiling is {MAX_LINES}: split it along what "
                        "it does")
    if text and not text.endswith("\n"):
        problems.append(f"{name}:{len(lines)}: no newline at the end of the file")
    if "\r" in text:
        problems.append(f"{name}: carriage returns; lines end in a newline alone")
    for number, line in enumerate(lines, 1):
        where = f"{name}:{number}"
        if line.endswith((" ", "\t")):
            problems.append(f"{where}: trailing white space")
        if "\t" in line and suffix in SOURCES:
            problems.append(f"{where}: a tab; indent with spaces")
        if name.endswith("check_files.py"):
            continue  # this file has to spell what it looks for
        if TODO.search(line) and suffix in SOURCES:
            problems.append(f"{where}: a TODO without the number of its issue, TODO(#12)")
        if MACHINE_PATH.search(line):
            problems.append(f"{where}: a path of one machine: {line.strip()[:60]}")


def check_readmes(root, names, problems):
    folders = {"/".join(name.split("/")[:2]) for name in names if name.startswith("src/") and name.count("/") >= 2}
    for folder in sorted(folders):
        readme = root / folder / "README.md"
        if not readme.exists():
            problems.append(f"{folder}/README.md: missing; say in at most {MAX_README_LINES} lines what lives here and "
                            "what may not")
        elif len(readme.read_text().splitlines()) > MAX_README_LINES:
            problems.append(f"{folder}/README.md:{MAX_README_LINES + 1}: longer than {MAX_README_LINES} lines")


def read_exceptions(root, problems):
    """The listed paths; a line without a reason is a problem."""
    path = root / EXCEPTIONS
    listed = set()
    if not path.exists():
        return listed
    for number, line in enumerate(path.read_text().splitlines(), 1):
        name, _, reason = line.partition(" ")
        if not line or line.startswith("#"):
            continue
        if not reason.strip():
            problems.append(f"{EXCEPTIONS}:{number}: no reason; write PATH REASON")
        listed.add(name)
    return listed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    root = parser.parse_args().root.resolve()

    problems = []
    names = tracked(root)
    exceptions = read_exceptions(root, problems)
    for name in names:
        path = root / name
        if path.stat().st_size > MAX_BYTES and name not in exceptions:
            problems.append(f"{name}: {path.stat().st_size} bytes, the limit is {MAX_BYTES}")
        if name.startswith(FREE_FORM) or pathlib.PurePath(name).suffix not in TEXTS:
            continue
        try:
            text = path.read_bytes().decode()
        except UnicodeDecodeError:
            problems.append(f"{name}: not UTF-8")
            continue
        check_text(name, text, name in exceptions, problems)
    check_readmes(root, names, problems)
    problems.extend(f"{EXCEPTIONS} lists {listed}, which does not exist" for listed in sorted(exceptions - set(names)))
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        print(f"files: {len(problems)} problems", file=sys.stderr)
        return 1
    print(f"files: {len(names)} files keep the rules")
    return 0


if __name__ == "__main__":
    sys.exit(main())
