#!/usr/bin/env python3
"""Runs clang-tidy 14 on the sources, in parallel, and remembers which are clean.

A source is looked at again when its text, a header of ours that it includes (directly or not), its compile command,
the configuration or the version of clang-tidy changed. What was clean is remembered as an empty file named by the hash
of all that, in $XDG_CACHE_HOME/metier-tidy (default ~/.cache/metier-tidy); entries unused for 30 days are removed.

Not looked at, each for its reason:
  src/train, tests/unit/train   a unit that includes LibTorch takes clang-tidy a minute, and its macros hide our code
  tests, fuzz, bench            gtest's macros expand into what the checks are about; sanitizers run this code anyway

usage: check_tidy.py [--build FOLDER] [--jobs N] [FILE ...]
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LEFT_OUT = ("src/train/", "tests/", "fuzz/", "bench/")
# Folders that are clean and must stay so. Those not yet here are looked at when their files are named on the command
# line; a folder joins this list when it is clean.
CLEAN = ("src/base/", "src/tensor/", "src/recipe/", "src/merge/")
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
PRECOMPILED = re.compile(r"\s-Winvalid-pch\b|\s-include\s+\S+cmake_pch\.hxx")
# What of the compile command says nothing about the meaning of the source.
OUTPUT = re.compile(r"\s-(o|MF|MT|MQ)\s+\S+|\s-(c|MD|MMD)\b")


def headers_of(path, folders, seen):
    """Adds to `seen` every header of the project that `path` includes, directly or not."""
    for name in INCLUDE.findall(path.read_text(errors="replace")):
        for folder in (path.parent, *folders):
            header = (folder / name).resolve()
            if header.is_file():
                if header not in seen:
                    seen.add(header)
                    headers_of(header, folders, seen)
                break


def key_of(path, command, salt):
    digest = hashlib.sha256(salt)
    folders = [pathlib.Path(name) for name in re.findall(r"-I(\S+)", command)]
    headers = set()
    headers_of(path, folders, headers)
    digest.update(OUTPUT.sub("", command).replace(str(ROOT), "").encode())
    for file in (path, *sorted(headers)):
        digest.update(str(file.relative_to(ROOT) if file.is_relative_to(ROOT) else file).encode() + b"\0")
        digest.update(file.read_bytes() + b"\0")
    return digest.hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/dev")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("files", nargs="*", help="only these (default: all)")
    arguments = parser.parse_args()

    database = arguments.build / "compile_commands.json"
    if not database.exists():
        print(f"tidy: {database} is missing; configure first: cmake --preset dev", file=sys.stderr)
        return 1
    try:
        version = subprocess.run(["clang-tidy-14", "--version"], capture_output=True, check=True).stdout
    except FileNotFoundError:
        print("tidy: clang-tidy-14 is missing; run scripts/setup", file=sys.stderr)
        return 4
    salt = version + (ROOT / ".clang-tidy").read_bytes()

    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "metier-tidy"
    cache.mkdir(parents=True, exist_ok=True)
    for entry in cache.iterdir():
        if time.time() - entry.stat().st_mtime > 30 * 24 * 3600:
            entry.unlink(missing_ok=True)

    only = {str(pathlib.Path(name).resolve()) for name in arguments.files}
    work, known = {}, 0
    entries = json.loads(database.read_text())
    for entry in entries:
        # gcc's precompiled headers are nothing to clang; what they hold the sources include themselves.
        entry["command"] = PRECOMPILED.sub("", entry["command"])
    for entry in entries:
        path = pathlib.Path(entry["directory"], entry["file"]).resolve()
        if not path.is_relative_to(ROOT) or not path.is_file():
            continue
        name = str(path.relative_to(ROOT))
        if name.startswith(LEFT_OUT) or (str(path) not in only if only else not name.startswith(CLEAN)):
            continue
        mark = cache / key_of(path, entry["command"], salt)
        if mark.exists():
            mark.touch()
            known += 1
        else:
            work[path] = mark

    folder = tempfile.TemporaryDirectory(prefix="metier-tidy-")
    pathlib.Path(folder.name, "compile_commands.json").write_text(json.dumps(entries))

    def tidy(path):
        # The build's compiler is gcc, some of whose warning flags clang does not know.
        command = ["clang-tidy-14", "-p", folder.name, "--quiet", "--extra-arg=-Wno-unknown-warning-option", path]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        return path, run

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as crew:
        for path, run in crew.map(tidy, work):
            if run.returncode == 0:
                work[path].touch()
                continue
            failed += 1
            print(run.stdout.replace(str(ROOT) + "/", ""), end="", flush=True)
            if "error:" not in run.stdout:  # clang-tidy itself failed
                print(run.stderr, file=sys.stderr)
    if failed:
        print(f"tidy: {failed} of {len(work)} files have findings", file=sys.stderr)
        return 1
    print(f"tidy: {len(work)} files looked at, {known} known to be clean")
    return 0


if __name__ == "__main__":
    sys.exit(main())
