"""The demo, made anew for each seed, everything that chance plays in included (shop, dialogues, order of the data,
adapter): does the specialist pass the recipe's gate?"""

import json
import subprocess

from learn.lab import ROOT

CLAIMS = {"specialist": "the retail specialist passes its recipe's gate; exact calls of base and specialist"}
NEEDS_DATA = False
RECIPE = ROOT / "recipes/retail-support.yaml"
# Enough training for several checkpoints; what it learns does not matter then.
SHORT = ["stages.sft.train.max_steps=60", "stages.sft.train.save_steps=5", "stages.sft.train.eval_steps=0",
         "stages.evaluation.evaluate.gate=[]", "stages.evaluation.evaluate.tool_calls.next_call.max_dialogues=5"]


def command(lab, out, seed, changes=()):
    words = [str(lab.metier), "run", str(RECIPE), "--out", str(out), "--seed", str(seed), "--json"]
    for change in changes:
        words += ["--set", change]
    return words


def run(lab, seed):
    out = lab.within("retail").folder / f"seed-{seed}"
    made = subprocess.run(command(lab, out, seed, SHORT if lab.short else ()), stdout=subprocess.PIPE, text=True,
                          check=False)
    if made.returncode not in (0, 1):
        raise RuntimeError(f"metier run ended with exit code {made.returncode}")
    results = json.loads((out / "evaluation/results.json").read_text(encoding="utf-8"))
    return {"passed": made.returncode == 0,
            "exact": {model: suites["next_call"]["exact_match"] for model, suites in results["models"].items()}}


def judge(f):
    return {"specialist": (f["passed"], " -> ".join(f"{value:.3f}" for value in f["exact"].values()))}
