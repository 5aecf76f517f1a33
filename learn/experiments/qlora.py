"""FinGPT's cheapest row: a LoRA over a base in 4 bits (QLoRA) learns the sentiment of news."""

import random

from learn import corpora
from learn.specialists import base, training

CLAIMS = {
    "learns_over_4_bits": "sentiment of made-up news, base in Q4_0: weighted F1 at least 0.9, the base's at most 0.5",
}
LABELS = ["negative", "positive", "neutral"]
FIRMS = ["Alder", "Brook and Sons", "Carrow", "Dunmore", "Eastgate", "Fenwick", "Garland", "Holloway", "Ingram", "Kestrel",
         "Linden", "Marlow", "Norwood", "Oakley", "Penrose", "Ravens", "Selby", "Thornton", "Upton", "Whitby"]
WHEN = ["on Monday", "last week", "this morning", "in the spring", "after the holidays", "late in the day"]
WHO = ["the company said", "a letter to its owners says", "the paper wrote", "two clerks told us", "its master said"]
NEWS = [
    ["lost its largest order", "could not pay its debts", "closed a mill and sent the men home", "saw its profit fall",
     "was fined for false accounts", "lost a ship and its cargo", "cut the price of its shares", "had a poor harvest"],
    ["won a large order", "paid all of its debts", "opened a new mill", "saw its profit rise", "found a rich mine",
     "doubled the pay of its owners", "sold more than ever before", "had a fine harvest"],
    ["moved its office across the street", "will hold its meeting", "printed its yearly report", "painted its ships",
     "kept the price as it was", "named a new clerk", "changed the name of a road", "will count its stock"],
]


def questions(seed, count):
    """Rows {"prompt", "choices", "answer"}, no text twice."""
    chance = random.Random(seed)
    texts = {}
    while len(texts) < count:
        label = chance.randrange(3)
        texts[f"{chance.choice(FIRMS)} {chance.choice(NEWS[label])} {chance.choice(WHEN)}, {chance.choice(WHO)}."] = label
    for text, label in texts.items():
        yield {"prompt": f"News: {text}\nSentiment:", "choices": [f" {word}" for word in LABELS], "answer": label}


def run(lab, seed):
    """The figures of one seed."""
    whole = base(lab)
    lab = lab.within(f"qlora-{seed}")
    blocks = lab.made("base-q4_0.gguf", lambda path: lab.verb("convert", whole, "--dtype", "Q4_0", "--out", path))
    train, test = corpora.split(questions(seed, 80 if lab.short else 1000), seed, 60 if lab.short else 700,
                                20 if lab.short else 300)
    pairs = [{"prompt": row["prompt"], "completion": row["choices"][row["answer"]]} for row in train]
    tokens = lab.tokens("train", pairs, whole, 128)
    test = lab.rows("test", test)

    def score(model, *more):
        words = ["eval", model, "--suite", "choices", "--file", test, "--arithmetic", "exact", *more]
        return lab.verb(*words)["weighted_f1"]

    common = {**training(lab, seed), "train_file": tokens, "lora": {"rank": 8, "alpha": 32},
              "per_device_train_batch_size": 2, "num_train_epochs": 1 if lab.short else 6}
    plain = lab.train("plain", model=whole, **common)
    quantised = lab.train("quantised", model=blocks, quantization_bit=4, **common)
    return {"base": score(blocks), "plain": score(whole, "--adapter", plain),
            "quantised": score(blocks, "--adapter", quantised)}


def judge(f):
    """What of CLAIMS is true of one seed, with the figures that say so."""
    return {"learns_over_4_bits": (f["quantised"] >= 0.9 and f["base"] <= 0.5,
                                   f"{f['quantised']:.3f} : {f['base']:.3f}, {f['plain']:.3f} over the base as it is")}
