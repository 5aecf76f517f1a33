"""SVF (Sun et al. 2025): an adapter that learns one factor for each singular value of the weights, and no direction of them."""

import json
from statistics import mean

from learn.experiments.experts import parameters
from learn.specialists import DOMAINS, base, domain_tokens, training

CLAIMS = {
    "learns": "held-out loss below the base's by 0.1 at least in each of four domains, from one factor for each singular value",
    "starts_as_base": "factors of one are the base: its loss before the first step is the base's to 1e-5",
    "fits_into_model": "the factors multiplied into the weights: the loss is the run's own to 0.001",
}


def ranks(model):
    """How many singular values the linears of the layers have together."""
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    width, inner = config["hidden_size"], config["intermediate_size"]
    return config["num_hidden_layers"] * (4 * width + 3 * min(width, inner))


def run(lab, seed):
    """The figures of one seed."""
    model = base(lab)
    lab = lab.within(f"svf-{seed}")
    figures = {"ranks": ranks(model), "numbers": 0, "base": {}, "start": {}, "end": {}, "merged": {}}
    for name, file in domain_tokens(lab, model, seed, DOMAINS).items():
        final = lab.train(name, model=model, train_file=file["train"], eval_file=file["test"], eval_on_start=True, svf={},
                          **training(lab, seed, learning_rate=1e-2, bf16=False))
        evaluated = [line["eval_loss"] for line in lab.log(final) if "eval_loss" in line]
        merged = lab.made(f"whole/{name}", lambda path, svf=final: lab.verb(
            "merge", model, "--adapter", svf, "--out", path, "--dtype", "F32"))
        figures["numbers"] = parameters(final)
        figures["base"][name] = lab.loss(model, file["test"])
        figures["start"][name], figures["end"][name] = evaluated[0], evaluated[-1]
        figures["merged"][name] = lab.loss(merged, file["test"])
    return figures


def judge(f):
    """What of CLAIMS is true of one seed, with the figures that say so."""
    domains = f["base"]
    most = lambda one, other: max(abs(f[one][name] - f[other][name]) for name in domains)
    return {
        "learns": (all(f["merged"][name] <= f["base"][name] - 0.1 for name in domains) and f["numbers"] == f["ranks"],
                   f"{mean(f['merged'].values()):.3f} : {mean(domains.values()):.3f} by {f['numbers']} factors"),
        "starts_as_base": (most("start", "base") <= 1e-5, f"{most('start', 'base'):.1e}"),
        "fits_into_model": (most("end", "merged") <= 1e-3, f"{most('end', 'merged'):.1e}"),
    }
