#!/usr/bin/env python3
"""Fails on an include that the architecture does not allow (docs/ARCHITECTURE.md, "Floors").

A folder of src/ includes lower floors only; folders of one floor do not include each other, but for the arrows of
SIDEWAYS. An include must also be covered by the folder's links in the top CMakeLists.txt (directly or through what it
links), because all folders share one include path and a missing link would pass by luck. Third-party headers are seen
only by the folders that wrap them.

usage: check_layers.py [--root FOLDER]
"""

import argparse
import pathlib
import re
import sys

# Floor of every folder of src/. A new folder gets a row here and a metier_module() line in the top CMakeLists.txt.
FLOORS = {
    "base": 0,
    "tensor": 1,
    "kernels": 1,
    "format": 2,
    "text": 2,
    "store": 2,
    "sandbox": 2,
    "model": 3,
    "grammar": 3,
    "recipe": 3,
    "proof": 3,
    "engine": 4,
    "train": 4,
    "data": 5,
    "retrieve": 5,
    "tools": 5,
    "worlds": 5,
    "memory": 5,
    "compress": 5,
    "merge": 5,
    "evaluate": 5,
    "specialist": 6,
    "serve": 7,
    "cli": 7,
}

# Arrows between folders of one floor, each with its reason.
SIDEWAYS = {
    ("evaluate", "data"): "held-out examples are read by the corpus readers that made the training set",
    ("cli", "serve"): "`metier serve` is a verb",
}

# Folders outside src/ that hold code: what they may include of src/. None: everything.
OUTSIDE = {
    "examples/retail": {"base"},
    "tests": None,
    "fuzz": None,
    "bench": None,
}

# Third-party headers (a regular expression on the path between the brackets) and who may see them: each library is
# wrapped in one place so that it can be replaced there. Tests, fuzzers and benches may use any but LibTorch's.
WRAPPED = [
    (r"(torch|ATen|c10|caffe2)/", {"train"}),
    (r"nlohmann/", {"base"}),
    (r"yaml-cpp/", {"base"}),
    (r"openssl/", {"base"}),
    (r"spdlog/", {"base"}),
    (r"pcre2\.h", {"text", "format", "grammar"}),  # format/: the patterns by which PEFT names modules
    (r"utf8proc\.h", {"text"}),
    (r"(oneapi/|dnnl)", set()),  # bench/ measures against it
    (r"simdjson", {"data"}),
    (r"sqlite3\.h", {"store", "examples/retail"}),
    (r"CLI/", {"cli", "examples/retail"}),
    (r"Eigen/", {"compress", "merge", "retrieve"}),
    (r"dlfcn\.h", {"specialist"}),
    (r"(x86|imm|xmm|emm|pmm|tmm|smm|nmm|wmm|avx\w*)intrin\.h|arm_neon\.h", {"kernels", "train"}),
]

# What a unit compiled for one instruction set, and the kernel bodies inside it, may include: nothing that defines an
# inline function or an object, or the linker could hand AVX code to a caller without AVX.
ISA_CODE = re.compile(r"src/(kernels/(isa|body)/|train/cpu/(isa_|body/))")
ISA_OWN = re.compile(r"(kernels|train/cpu)/body/|kernels/(kernel_table|packed)\.h$|train/cpu/(kernels|tables)\.h$")
ISA_SYSTEM = re.compile(r"(\w*intrin|arm_neon|cpuid)\.h$|c(stddef|stdint|float|limits|math|string)$")

INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')
MODULE = re.compile(r"^\s*metier_module\(\s*(\w+)([^)]*)\)", re.MULTILINE)


def links_of(root):
    """Folder -> the folders it links directly, from the metier_module() lines and src/train/CMakeLists.txt."""
    text = re.sub(r"#.*", "", (root / "CMakeLists.txt").read_text())
    links = {name: set(re.findall(r"\bmetier_(\w+)", rest)) for name, rest in MODULE.findall(text)}
    train = root / "src/train/CMakeLists.txt"
    if train.exists():
        found = re.search(r"target_link_libraries\(\s*metier_train_core([^)]*)\)", train.read_text())
        links["train"] = set(re.findall(r"\bmetier_(\w+)", found.group(1))) if found else set()
    for targets in links.values():
        targets -= {"settings", "train_cpu"}  # train_cpu: the part of src/train that does not see LibTorch
    return links


def closure(name, links):
    seen, todo = set(), [name]
    while todo:
        for target in links.get(todo.pop(), ()):
            if target not in seen:
                seen.add(target)
                todo.append(target)
    return seen


def why_not(source, target, links):
    """The reason for which folder `source` may not depend on folder `target`, or None."""
    if source == target:
        return None
    if source in FLOORS:
        here, there = FLOORS[source], FLOORS[target]
        if there > here:
            return f"upward: {source}/ is on floor {here}, {target}/ on floor {there}"
        if there == here and (source, target) not in SIDEWAYS:
            return f"sideways: both are on floor {here}, and SIDEWAYS in scripts/check_layers.py does not list it"
        if links is not None and target not in links[source]:
            return f"not linked: add metier_{target} to the links of metier_{source} in CMakeLists.txt"
        return None
    allowed = OUTSIDE[source]
    if allowed is not None and target not in allowed:
        return f"{source}/ may include {', '.join(sorted(allowed))}/ only"
    return None


def check_cmake(root, links, problems):
    for name in sorted(links):
        if name not in FLOORS:
            problems.append(f"CMakeLists.txt: metier_module({name}): no floor in scripts/check_layers.py")
            continue
        for target in sorted(links[name]):
            if target not in FLOORS:
                problems.append(f"CMakeLists.txt: metier_{name} links metier_{target}, which is no folder of src/")
                continue
            reason = why_not(name, target, None)
            if reason:
                problems.append(f"CMakeLists.txt: metier_{name} -> metier_{target}: {reason}")
    for folder in sorted(p for p in (root / "src").iterdir() if p.is_dir() and any(p.rglob("*.cc"))):
        if folder.name not in links:
            problems.append(f"src/{folder.name}: has sources but no metier_module() line in CMakeLists.txt")


def folder_of(path, root):
    parts = path.relative_to(root).parts
    if parts[0] == "src":
        return parts[1]
    return "/".join(parts[:2]) if parts[0] == "examples" else parts[0]


def check_include(where, source, name, quoted, isa, links, problems):
    first = name.split("/")[0]
    if isa and not (ISA_OWN if quoted else ISA_SYSTEM).match(name):
        problems.append(f'{where}: includes "{name}": code of one instruction set includes body/, its '
                        "table, intrinsics and C headers without objects only")
        return
    if quoted and first in FLOORS and "/" in name:
        reason = why_not(source, first, links)
        if reason:
            problems.append(f"{where}: {source} -> {first}: {reason}")
        return
    for pattern, owners in WRAPPED:
        if not re.match(pattern, name):
            continue
        test_code = source in ("tests", "fuzz", "bench") and "train" not in owners
        torch_test = "train" in owners and "/train/" in where
        if source not in owners and not test_code and not torch_test:
            problems.append(f"{where}: <{name}> belongs to {', '.join(sorted(owners))}/, which wraps that library; "
                            f"{source}/ uses the wrapper")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    root = parser.parse_args().root.resolve()

    problems = []
    direct = links_of(root)
    check_cmake(root, direct, problems)
    links = {name: closure(name, direct) for name in FLOORS}
    files = 0
    for top in ("src", *OUTSIDE):
        for path in sorted((root / top).rglob("*")):
            if path.suffix not in (".h", ".cc"):
                continue
            files += 1
            source = folder_of(path, root)
            relative = str(path.relative_to(root))
            if source not in FLOORS and source not in OUTSIDE:
                problems.append(f"{relative}: the folder {source}/ has no floor in scripts/check_layers.py")
                continue
            isa = ISA_CODE.match(relative) is not None
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                found = INCLUDE.match(line)
                if found:
                    check_include(f"{relative}:{number}", source, found.group(2), found.group(1) == '"', isa, links,
                                  problems)
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        print(f"layers: {len(problems)} arrows that the architecture does not allow", file=sys.stderr)
        return 1
    print(f"layers: {files} files keep to the floors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
