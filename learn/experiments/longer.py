"""InvestLM: positions made longer by linear RoPE scaling, learnt in 200 steps of texts of twice the length."""

import json
import shutil
from math import exp

from learn import corpora
from learn.specialists import base

CLAIMS = {
    "second_half": "after 200 steps at twice the length, perplexity in a text's second half at most 5 % over its first",
    "unscaled_is_lost": "without scaling or training, the second half is at least twice as bad as with both",
}
LENGTH = 1024


def halves(lab, model, texts):
    """(perplexity of the first half, of the second) of windows of LENGTH tokens."""
    words = ["eval", model, "--suite", "perplexity", "--file", texts, "--window", LENGTH, "--arithmetic", "exact"]
    every = lab.verb(*words, "--stride", LENGTH)
    second = lab.verb(*words, "--scoring", "halves")
    first = (every["nll"] - second["nll"]) / (every["scored_tokens"] - second["scored_tokens"])
    return exp(first), second["perplexity"]


def run(lab, seed):
    """The figures of one seed."""
    model = base(lab)
    lab = lab.within(f"longer-{seed}")
    rows = corpora.lines_of("text-classic-books/books_train.jsonl.zst")
    train = [{"text": part} for row in rows[seed:seed + 6] for part in corpora.passages(row["text"], 20000)]
    held = [part for row in rows[-2:] for part in list(corpora.passages(row["text"], 5000))[:30]]
    texts = lab.made("held.txt", lambda path: path.write_text("\n\n".join(held), encoding="utf-8"))
    longer = lab.train("scaled", model=model, stage="pretrain", seed=seed, rope_scaling={"factor": 2},
                       train_file=lab.tokens("train", train, model, 0), max_seq_len=LENGTH,
                       per_device_train_batch_size=4, learning_rate=5e-4, warmup_ratio=0.1, dtype="float32",
                       max_steps=10 if lab.short else 200, num_train_epochs=100)

    def unscaled(path):
        shutil.copytree(model, path)
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        config["max_position_embeddings"] = LENGTH
        (path / "config.json").write_text(json.dumps(config), encoding="utf-8")

    return {"scaled": halves(lab, longer, texts), "unscaled": halves(lab, lab.made("unscaled", unscaled), texts)}


def judge(f):
    """What of CLAIMS is true of one seed, with the figures that say so."""
    first, second = f["scaled"]
    lost = f["unscaled"][1]
    return {"second_half": (second <= 1.05 * first, f"{second:.1f} : {first:.1f}"),
            "unscaled_is_lost": (lost >= 2 * second, f"{second:.1f} : {lost:.1f}")}
