"""FinGPT: a LoRA learns to answer with the word of a label, and the words are scored by their likelihood alone."""

import csv

from learn import corpora
from learn.lab import shared
from learn.specialists import adapter, base

CLAIMS = {
    "learns_labels": "sentiment of financial news: weighted F1 with the adapter at least 0.2 above the base's",
    "scored_is_written": "after training, the likeliest label is what the model writes freely in 95 of 100",
}
LABELS = ["negative", "positive", "neutral"]  # 0: bearish, 1: bullish, 2: neither


def questions():
    """Rows {"prompt", "choices", "answer"}."""
    with open(shared() / "fin-twitter-sentiment/sent_valid.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield {"prompt": f"News: {row['text']}\nSentiment:", "choices": [f" {label}" for label in LABELS],
                   "answer": int(row["label"])}


def run(lab, seed):
    """The figures of one seed."""
    model = base(lab)
    lab = lab.within(f"labels-{seed}")
    train, test = corpora.split(questions(), seed, 60 if lab.short else 1900, 20 if lab.short else 400)
    pairs = [{"prompt": row["prompt"], "completion": row["choices"][row["answer"]]} for row in train]
    tuned = adapter(lab, model, "adapter", seed, lab.tokens("train", pairs, model, 256))
    words = ["eval", model, "--suite", "choices", "--file", lab.rows("test", test), "--arithmetic", "exact"]
    keep = ("weighted_f1", "accuracy", "same_as_free")
    figures = {"base": lab.verb(*words), "tuned": lab.verb(*words, "--adapter", tuned, "--generate")}
    return {name: {key: value for key, value in one.items() if key in keep} for name, one in figures.items()}


def judge(f):
    """What of CLAIMS is true of one seed, with the figures that say so."""
    base_f1, f1, same = f["base"]["weighted_f1"], f["tuned"]["weighted_f1"], f["tuned"]["same_as_free"]
    return {"learns_labels": (f1 >= base_f1 + 0.2, f"{f1:.3f} : {base_f1:.3f}"),
            "scored_is_written": (same >= 0.95, f"{100 * same:.1f} %")}
