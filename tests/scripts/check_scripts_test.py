#!/usr/bin/env python3
"""The checks of scripts/ find what they look for: each is run on a small tree with one fault, and on one without."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"

CMAKE = """\
metier_module(base PUBLIC fmt::fmt)
metier_module(text PUBLIC metier_base)
metier_module(format PUBLIC metier_base)
metier_module(model PUBLIC metier_format)
metier_module(kernels PUBLIC metier_base)
"""


def run(script, root, *arguments):
    command = [sys.executable, SCRIPTS / script, "--root", root, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


class TreeTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = pathlib.Path(self.folder.name).resolve()
        self.write("CMakeLists.txt", CMAKE)
        for name in ("base", "text", "format", "model", "kernels"):
            self.write(f"src/{name}/README.md", f"# {name}\n")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


class Layers(TreeTest):
    def refuses(self, name, text, *expected):
        self.write(name, text)
        code, output = run("check_layers.py", self.root)
        self.assertEqual(code, 1, output)
        for part in expected:
            self.assertIn(part, output)

    def test_downward_is_fine(self):
        self.write("src/model/a.cc", '#include "model/a.h"\n#include "format/b.h"\n#include <vector>\n')
        self.write("src/model/a.h", '#include "base/result.h"\n')
        code, output = run("check_layers.py", self.root)
        self.assertEqual(code, 0, output)

    def test_upward(self):
        self.refuses("src/base/a.cc", '\n#include "model/a.h"\n', "src/base/a.cc:2: base -> model", "upward", "floor 3")

    def test_sideways(self):
        self.refuses("src/text/a.cc", '#include "format/a.h"\n', "text -> format", "sideways")

    def test_without_a_link(self):
        self.refuses("src/model/a.cc", '#include "text/a.h"\n', "model -> text", "not linked")

    def test_link_upward(self):
        self.refuses("CMakeLists.txt", CMAKE + "metier_module(tensor PUBLIC metier_model)\n",
                     "metier_tensor -> metier_model", "upward")

    def test_torch_outside_train(self):
        self.refuses("src/model/a.cc", "#include <torch/torch.h>\n", "torch/torch.h", "train/")

    def test_library_outside_its_wrapper(self):
        self.refuses("src/text/a.cc", "#  include <nlohmann/json.hpp>\n", "nlohmann/json.hpp", "base/")

    def test_instruction_set_unit(self):
        self.refuses("src/kernels/isa/avx2.cc", "#include <algorithm>\n", "src/kernels/isa/avx2.cc:1")
        self.refuses("src/kernels/isa/avx2.cc", '#include "base/result.h"\n', "base/result.h")
        self.write("src/kernels/isa/avx2.cc", '#include <immintrin.h>\n#include "kernels/body/dot.h"\n')
        self.assertEqual(run("check_layers.py", self.root)[0], 0)

    def test_folder_without_a_floor(self):
        self.refuses("src/helpers/a.cc", "\n", "helpers")

    def test_example_sees_base_only(self):
        self.refuses("examples/retail/a.cc", '#include "text/a.h"\n', "examples/retail")


class Files(TreeTest):
    def refuses(self, name, text, expected):
        self.write(name, text)
        code, output = run("check_files.py", self.root)
        self.assertEqual(code, 1, output)
        self.assertIn(expected, output)
        (self.root / name).unlink()

    def test_each_rule(self):
        code, output = run("check_files.py", self.root)
        self.assertEqual(code, 0, output)
        self.refuses("src/base/long.cc", "\n" * 601, "src/base/long.cc:601")
        self.refuses("src/base/a.cc", "int a; \n", "a.cc:1: trailing white space")
        self.refuses("src/base/a.cc", "\tint a;\n", "a tab")
        self.refuses("src/base/a.cc", "int a;", "no newline")
        self.refuses("src/base/a.cc", "// TO" "DO: later\n", "without the number")
        self.refuses("docs/a.md", "see /home/" "anna/x\n", "a path of one machine")
        self.refuses("docs/a.md", "x\r\n", "carriage returns")
        self.refuses("data.bin", "x" * (1 << 21), "the limit is")
        self.refuses("src/new/a.cc", "\n", "src/new/README.md: missing")
        self.write("src/base/ok.cc", "// TO" "DO(#12): later\n")
        code, output = run("check_files.py", self.root)
        self.assertEqual(code, 0, output)

    def test_exceptions(self):
        listed = "scripts/file_exceptions.txt"
        self.write("data.bin", "x" * (1 << 21))
        self.write("src/base/long.cc", "\n" * 601)
        self.write(listed, "# comment\ndata.bin  weights\nsrc/base/long.cc  a table\n")
        code, output = run("check_files.py", self.root)
        self.assertEqual(code, 0, output)
        self.write(listed, "data.bin  weights\nsrc/base/long.cc\ngone.bin  a reason\n")
        code, output = run("check_files.py", self.root)
        self.assertEqual(code, 1, output)
        self.assertIn(f"{listed}:2: no reason", output)
        self.assertIn(f"{listed} lists gone.bin, which does not exist", output)

    def test_long_readme(self):
        self.write("src/base/README.md", "line\n" * 16)
        self.assertIn("README.md:16", run("check_files.py", self.root)[1])


class Skips(unittest.TestCase):
    def test_unlisted_reason(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "Testing/Temporary").mkdir(parents=True)
            (folder / "allowed.txt").write_text("# comment\nno fixtures\n")
            log = folder / "Testing/Temporary/LastTest.log"
            command = [sys.executable, SCRIPTS / "check_skips.py", "--build", folder, "--allowed",
                       folder / "allowed.txt"]
            log.write_text("a_test.cc:7: Skipped\nno fixtures here\n\n[  SKIPPED ] A.B (0 ms)\n")
            self.assertEqual(subprocess.run(command, capture_output=True, check=False).returncode, 0)
            log.write_text("a_test.cc:7: Skipped\nnot today\n\n[  SKIPPED ] A.B (0 ms)\n")
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("not today", done.stdout)


if __name__ == "__main__":
    unittest.main()
