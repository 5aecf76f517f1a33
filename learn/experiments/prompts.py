"""BioGPT: nine learnt tokens between a text and what is to be said of it, a relation that is written as a sentence; the model is
tuned with them and without."""

import json
import random
import re
import shutil

from learn import corpora
from learn.specialists import PROMPT, base

CLAIMS = {
    "finds_relations": "relations in made-up sentences, written freely: F1 of exact matches at least 0.95, what is no sentence of "
                       "the kind counted as wrong",
    "not_below_without": "and not below that of the same tuning without the nine tokens",
}
NAMES = ["Alder", "Birch", "Cedar", "Dover", "Elm", "Finch", "Garnet", "Hazel", "Iris", "Jasper", "Kite", "Laurel", "Maple",
         "Nettle", "Olive", "Pearl", "Quartz", "Robin", "Sable", "Thistle", "Umber", "Violet", "Willow", "Yarrow"]
RELATIONS = {
    "inhibits": ["{0} holds back {1}", "{1} is held back by {0}", "{0} keeps {1} from its work", "less of {1} is seen under {0}"],
    "activates": ["{0} wakes {1}", "{1} is woken by {0}", "{0} sets {1} to work", "more of {1} is seen under {0}"],
    "binds": ["{0} holds fast to {1}", "{1} is held fast by {0}", "{0} sticks to {1}", "one finds {1} stuck to {0}"],
}
WHERE = ["In the blood ,", "In young plants ,", "After an hour in the cold ,", "In two of three cases ,", "As was shown before ,"]
SENTENCE = re.compile(r"^\s*(\w+) (inhibits|activates|binds) (\w+)\.$")


def sentences(seed, count):
    """Rows {"text", "triple"}, no text twice; a third name stands beside the two."""
    chance = random.Random(seed)
    rows = {}
    while len(rows) < count:
        first, second, other = chance.sample(NAMES, 3)
        relation = chance.choice(list(RELATIONS))
        said = chance.choice(RELATIONS[relation]).format(first, second)
        rows[f"{chance.choice(WHERE)} {said} , with {other} or without."] = [first, relation, second]
    return [{"text": text, "triple": triple} for text, triple in rows.items()]


def with_prompt_words(model, path):
    """The base, whose prompt tokens are words of a text as others are."""
    shutil.copytree(model, path)
    file = path / "tokenizer.json"
    tokenizer = json.loads(file.read_text(encoding="utf-8"))
    for token in tokenizer["added_tokens"]:
        token["special"] = token["special"] and token["content"] not in PROMPT
    file.write_text(json.dumps(tokenizer), encoding="utf-8")


def f1(lab, model, rows, between):
    """Of exact matches of what the model writes; what is no sentence of the kind is wrong."""
    right, said = 0, 0
    for row in rows:
        text = lab.verb("generate", model, row["text"] + between, "--max-tokens", 24, "--temperature", 0, "--arithmetic", "exact")["text"]
        found = SENTENCE.match(text)
        said += found is not None
        right += found is not None and [found[1], found[2], found[3]] == row["triple"]
    return 2 * right / (said + len(rows))


def run(lab, seed):
    """The figures of one seed."""
    whole = base(lab)
    lab = lab.within(f"prompts-{seed}")
    model = lab.made("model", lambda path: with_prompt_words(whole, path))
    train, test = corpora.split(sentences(seed, 60 if lab.short else 650), seed, 50 if lab.short else 500, 10 if lab.short else 150)
    figures = {}
    for name, between in (("prompted", "".join(PROMPT)), ("plain", "\n")):
        rows = [{"prompt": row["text"] + between, "completion": f" {row['triple'][0]} {row['triple'][1]} {row['triple'][2]}."}
                for row in train]
        tuned = lab.train(name, model=model, stage="sft", seed=seed, train_file=lab.tokens(name, rows, model, 128),
                          max_seq_len=128, per_device_train_batch_size=4, learning_rate=1e-3, warmup_ratio=0.1,
                          num_train_epochs=1 if lab.short else 20, lr_scheduler_type="cosine", dtype="float32", logging_steps=20)
        figures[name] = f1(lab, tuned, test, between)
    return figures


def judge(f):
    """What of CLAIMS is true of one seed, with the figures that say so."""
    prompted, plain = f["prompted"], f["plain"]
    return {"finds_relations": (prompted >= 0.95, f"{prompted:.3f}"),
            "not_below_without": (prompted >= plain, f"{prompted:.3f} : {plain:.3f}")}
