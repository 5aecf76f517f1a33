#!/usr/bin/env python3
"""bench/against_llamacpp with programs that print known figures and write down how they were called."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "bench/against_llamacpp"

# Each program appends its words to calls.txt. Ours decodes with 2, 8, 4, 2, 8, ... tokens/s, the peer with 10 where
# flash attention is on and 5 where it is off. The machine reads 8, 2, 16, 8, ... GB/s.
METIER = """\
words = sys.argv[1:]
count = len([call for call in calls() if call[0] == "metier" and "--new-tokens" in call and "8" in call])
machines = len([call for call in calls() if "--machine" in call])
note("metier", words)
speed = {"median": [2.0, 8.0, 4.0][count % 3]}
if "--machine" in words:
    print(json.dumps({"isa": "fake", "threads": 2, "read_bytes_per_second": [8e9, 2e9, 16e9][machines % 3],
                      "f32_operations_per_second": 1e9, "int8_operations_per_second": 4e9}))
else:
    streams = words[words.index("--streams") + 1].split(",") if "--streams" in words else []
    print(json.dumps({
        "parameters": 1000, "weight_bytes": 2**30, "weight_bytes_per_token": 10**9,
        "prompt": {"tokens": 16, "tokens_per_second": speed},
        "decode": [{"streams": int(n), "tokens_per_second": speed} for n in streams]}))
"""
LLAMA_BENCH = """\
words = sys.argv[1:]
note("llama-bench", words)
print(json.dumps([{"avg_ts": 10.0 if words[words.index("-fa") + 1] == "on" else 5.0}]))
"""
BATCHED = """\
words = sys.argv[1:]
note("llama-batched-bench", words)
print("some other line")
for count in words[words.index("-npl") + 1].split(","):
    print(json.dumps({"pl": int(count), "speed_tg": 20.0 if words[words.index("-fa") + 1] == "off" else 5.0}))
"""
COMMON = """\
#!{python}
import json, pathlib, sys
LOG = pathlib.Path(__file__).parent / "calls.txt"
def calls():
    return [json.loads(line) for line in LOG.read_text().splitlines()] if LOG.exists() else []
def note(program, words):
    with LOG.open("a") as log:
        log.write(json.dumps([program, *words]) + "\\n")
"""


class AgainstLlamaCpp(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.program("metier", METIER)
        self.program("llama-bench", LLAMA_BENCH)
        self.program("llama-batched-bench", BATCHED)
        (self.root / "m.gguf").write_text("weights")

    def program(self, name, body):
        path = self.root / name
        path.write_text(COMMON.format(python=sys.executable) + body)
        path.chmod(0o755)

    def compare(self, *flags):
        command = [sys.executable, SCRIPT, "--peer", self.root, "--metier", self.root / "metier", "--new-tokens", 8]
        command += [*flags, self.root / "m.gguf"]
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)

    def calls(self):
        return [json.loads(line) for line in (self.root / "calls.txt").read_text().splitlines()]

    def test_medians_ratios_and_shares(self):
        done = self.compare("--only", "decode", "--rounds", 3, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        model = json.loads(done.stdout)["models"][0]
        figure = model["figures"]["decode 1"]
        self.assertEqual(figure["metier"], {"median": 4.0, "least": 2.0, "most": 8.0})
        self.assertEqual(figure["ratio"], 0.4)
        self.assertEqual(figure["bandwidth_share"]["metier"], 0.5)  # 4 times 10^9 bytes of 8 * 10^9
        self.assertEqual(model["machine"]["read_bytes_per_second"], 8e9)
        self.assertEqual(model["machine"]["threads"], 2)
        self.assertEqual(model["flash_attention"], {"decode": "on"})

    def test_both_take_turns_after_the_choice_of_flash_attention(self):
        self.compare("--only", "decode", "--rounds", 2)
        calls = [call for call in self.calls() if "--machine" not in call][1:]  # the first asks for facts
        self.assertEqual([call[0] for call in calls], ["llama-bench"] * 2 + ["metier", "llama-bench"] * 2)
        peer = [call[call.index("-fa") + 1] for call in calls if call[0] == "llama-bench"]
        self.assertEqual(peer, ["off", "on", "on", "on"])

    def test_streams_share_one_reading_of_the_weights(self):
        done = self.compare("--only", "streams", "--streams", "2,4", "--rounds", 1, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        model = json.loads(done.stdout)["models"][0]
        self.assertEqual(model["flash_attention"], {"streams": "off"})
        shares = [model["figures"][f"decode {count}"]["bandwidth_share"]["llama.cpp"] for count in (2, 4)]
        self.assertEqual(shares, [20 / 2 / 8, 20 / 4 / 8])

    def test_table_names_every_figure(self):
        done = self.compare("--only", "load,prefill,decode", "--prompt-tokens", 16, "--rounds", 1)
        self.assertEqual(done.returncode, 0, done.stderr)
        for name in ("load s", "prefill 16", "memory GiB", "decode 1", "8.0 GB/s"):
            self.assertIn(name, done.stdout)

    def test_what_fails_is_said(self):
        self.program("llama-bench", 'sys.exit("no such model type")')
        done = self.compare("--only", "prefill", "--rounds", 1)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no such model type", done.stderr)
        self.program("llama-batched-bench", 'print(json.dumps({"pl": 2, "speed_tg": 1.0}))')
        done = self.compare("--only", "streams", "--streams", "2,4")
        self.assertIn("found figures for [2] streams, expected [2, 4]", done.stderr)
        self.assertEqual(self.compare("--only", "speed").returncode, 2)
        (self.root / "metier").unlink()
        done = self.compare()
        self.assertEqual(done.returncode, 2)
        self.assertIn("build it first", done.stderr)


if __name__ == "__main__":
    unittest.main()
