"""Facts written into weights (ROME: Meng et al. 2022; MEMIT: Meng et al. 2023): a small model learns the codes of invented
people, then the codes of some become others, without training."""

import hashlib
import json
import random

CLAIMS = {"rome": "ROME: 20 counterfactual facts answered (at least 95 %), others changed (at most 2 %)",
          "memit": "MEMIT, over two layers: the same",
          "revert": "an edit taken back gives the weights' files byte for byte; so does a stack of two"}
NEEDS_DATA = False
NAMES, WORDS, EDITED = 12, 20, 20
METHODS = {"rome": ["--method", "rome", "--layer", 0],
           "memit": ["--method", "memit", "--layer", 1, "--layers", 2, "--covariance", 5]}


def people(seed):
    """(first name and last name, code) of everyone, in an order of chance."""
    chance = random.Random(seed)
    everyone = [(f"first{first} last{last}", f"word{chance.randrange(WORDS)}")
                for first in range(NAMES) for last in range(NAMES)]
    chance.shuffle(everyone)
    return everyone


def tokenizer(folder):
    """One token a word."""
    words = ["?", "code", "of", ".", "is", "a", *(f"{kind}{i}" for kind, count in (
        ("first", NAMES), ("last", NAMES), ("word", WORDS)) for i in range(count))]
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "vocab": {word: i for i, word in enumerate(words)}, "unk_token": "?"}}),
        encoding="utf-8")


def trained(lab, seed, everyone):
    """A model that knows everyone's code, and texts about them."""
    words = lab.made("tokenizer", tokenizer)
    chance = random.Random(seed + 1)

    def sentences(count):
        return " ".join(f"code of {name} {code} ." for name, code in chance.choices(everyone, k=count))

    texts = [{"text": sentences(6)} for _ in range(400)]
    rows = []
    for i in range(200 if lab.short else 6000):
        name, code = everyone[i % len(everyone)]
        rows.append({"prompt": f"{sentences(i % 4)} code of {name}".strip(), "completion": f" {code}"})
    model = lab.train("model", stage="pretrain", tokenizer=words, seed=seed,
                      train_file=lab.tokens("train", rows, words, 48),
                      init={"spec": {"model_type": "llama", "vocab_size": 6 + 2 * NAMES + WORDS, "hidden_size": 64,
                                     "intermediate_size": 192, "num_hidden_layers": 3, "num_attention_heads": 4,
                                     "num_key_value_heads": 4, "max_position_embeddings": 384, "rms_norm_eps": 1e-5}},
                      max_seq_len=384, per_device_train_batch_size=2, learning_rate=5e-3, warmup_ratio=0.05,
                      max_steps=10 if lab.short else 1200, num_train_epochs=1000, bf16=False, dtype="float32",
                      device="cpu", logging_steps=100)
    return model, lab.rows("texts", texts)


def sha256(folder):
    """Of a model's weights."""
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def run(lab, seed):
    """The figures of one seed."""
    lab = lab.within(f"edit-{seed}")
    everyone = people(seed)
    model, texts = trained(lab, seed, everyone)
    changed = [(name, f"word{(int(code[4:]) + 7) % WORDS}") for name, code in everyone[:EDITED]]
    facts = [lab.rows(f"facts-{part}", [{"prompt": f"code of {name}", "subject": name, "target": f" {code}"}
                                        for name, code in some])
             for part, some in (("all", changed), ("more", [(name, code) for name, code in everyone[:4]]))]
    keep = lab.rows("keep", [{"prompt": f"code of {name}", "answer": f" {code}"} for name, code in everyone[EDITED:]])
    figures = {}
    for method, settings in METHODS.items():
        def edit(start, rows, name, settings=settings):
            report = lab.folder / f"{name}.json"
            lab.made(name, lambda out: report.write_text(json.dumps(lab.verb(
                "edit", start, "--facts", rows, "--texts", texts, "--keep", keep, "--seed", seed, *settings, "--out",
                out)), encoding="utf-8"))
            return lab.folder / name, json.loads(report.read_text(encoding="utf-8"))

        once, said = edit(model, facts[0], method)
        twice, _ = edit(once, facts[1], f"{method}-twice")
        back = [lab.made(f"{method}-back-{count}", lambda out, one=one, count=count: lab.verb(
            "edit", one, "--revert", "--count", count, "--out", out)) for one, count in ((once, 1), (twice, 2))]
        figures[method] = {"efficacy": said["efficacy"], "drift": said["keep"]["drift"],
                           "known": said["keep"]["probability_before"],
                           "changed": sha256(once) != sha256(model),
                           "back": [sha256(one) == sha256(model) for one in back]}
    return figures


def judge(f):
    """What of CLAIMS is true of one seed, with the figures that say so."""
    said = {method: (one["efficacy"] >= 0.95 and one["drift"] <= 0.02 and one["known"] > 0.9,
                     f"{one['efficacy']:.2f}, {one['drift']:.3f}") for method, one in f.items()}
    same = [one["changed"] and all(one["back"]) for one in f.values()]
    return {**said, "revert": (all(same), f"{sum(same)} of {len(same)} methods")}
