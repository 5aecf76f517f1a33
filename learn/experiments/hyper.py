"""Text-to-LoRA (Charakorn et al. 2025): a network writes an adapter for a task from its description alone. 24 tasks on pairs of
letters, each followed by what it becomes: the first and the second are moved on, each by a number of its own. Four pairs of
numbers nobody trains on, the base included."""

import json
import random
from statistics import mean

CLAIMS = {
    "beats_base": "adapters written for descriptions of unseen tasks: loss below the base's on each of the four",
    "beats_mean": "the same against the mean of the adapters written for the tasks it learned from",
    "beats_one": "mean loss below one LoRA trained on all of these tasks",
    "aligned_beats_shuffled": "mean loss below a network trained with the tasks' descriptions exchanged, and below the adapters "
                              "written for each other's descriptions",
}
NEEDS_DATA = False
LETTERS = "abcdefghijkl"
FIRST = ("one", "two", "three", "four", "five", "six")
SECOND = ("seven", "eight", "nine", "ten")
UNSEEN = (("two", "seven"), ("five", "eight"), ("three", "nine"), ("four", "ten"))
WAYS = ("move {0} then {1}", "first {0} , second {1}", "second {1} , first {0}", "go on {0} and {1}", "{1} behind {0}")


def tasks():
    return [(first, second) for second in SECOND for first in FIRST]


def descriptions(task):
    return [way.format(*task) for way in WAYS]


def row(task, chance):
    """Two letters, and what the task makes of each behind it."""
    first, second = chance.randrange(len(LETTERS)), chance.randrange(len(LETTERS))
    moved = (first + FIRST.index(task[0]) + 1, second + SECOND.index(task[1]) + 7)
    letters = [LETTERS[number % len(LETTERS)] for number in (first, moved[0], second, moved[1])]
    return {"prompt": f": {letters[0]}", "completion": f" {' '.join(letters[1:])}"}


def tokenizer(path):
    """A token a word."""
    words = sorted({word for task in tasks() for text in descriptions(task) for word in text.split()} | set(LETTERS) | {":", ">"})
    vocab = {word: number for number, word in enumerate(["<unk>", "<end>", *words])}
    special = [{"id": number, "content": name, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                "special": True} for number, name in enumerate(("<unk>", "<end>"))]
    path.mkdir()
    (path / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special, "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "<unk>"}}), encoding="utf-8")
    (path / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>", "eos_token": "<end>"}), encoding="utf-8")


def base(lab, seed, words):
    """A small model that has seen all tasks but the unseen ones, described and not."""
    chance = random.Random(f"base {seed}")
    seen = [task for task in tasks() if task not in UNSEEN]
    rows = []
    for number in range(3000 if lab.short else 40000):
        task = chance.choice(seen)
        one = row(task, chance)
        if number % 4:
            one["prompt"] = f"{chance.choice(descriptions(task))} {one['prompt']}"
        rows.append(one)
    file = lab.tokens("base-rows", rows, words, 64)
    spec = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 64, "hidden_size": 96,
            "intermediate_size": 256, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 4,
            "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": False,
            "eos_token_id": 1}
    return lab.train("base", stage="pretrain", init={"spec": spec}, tokenizer=words, train_file=file, seed=seed,
                     max_seq_len=32, per_device_train_batch_size=16, num_train_epochs=1 if lab.short else 3,
                     learning_rate=1e-3, lr_scheduler_type="cosine", warmup_ratio=0.05, bf16=False,
                     dtype="float32", logging_steps=50)


def run(lab, seed):
    """The figures of one seed."""
    lab = lab.within(f"hyper-{seed}")
    words = lab.made("words", tokenizer)
    model = base(lab, seed, words)
    chance = random.Random(f"tasks {seed}")
    seen = [task for task in tasks() if task not in UNSEEN]
    short_name = {task: f"{FIRST.index(task[0]) + 1}-{SECOND.index(task[1])}" for task in tasks()}
    files = {task: lab.tokens(f"data/{short_name[task]}", [row(task, chance) for _ in range(60 if lab.short else 400)], model, 64)
             for task in tasks()}
    setting = {"model": model, "stage": "sft", "seed": seed, "max_seq_len": 32, "per_device_train_batch_size": 16,
               "num_train_epochs": 100, "max_steps": 20 if lab.short else 300, "lr_scheduler_type": "cosine",
               "warmup_ratio": 0.05, "bf16": False, "logging_steps": 20}

    def network(folder, described):
        hyper = {"tasks": [{"name": short_name[task], "descriptions": descriptions(described[task]), "file": files[task]}
                           for task in seen], "rank": 4, "alpha": 8, "latent_size": 32, "blocks": 0}
        return lab.train(folder, hyper=hyper, **{**setting, "learning_rate": 6e-3})

    def written(folder, by, task):
        return lab.made(f"{folder}/{short_name[task]}", lambda path: lab.verb(
            "adapter", "write", by, "--describe", descriptions(task)[0], "--out", path))

    own = network("network", {task: task for task in seen})
    moved = seen[7:] + seen[:7]
    shuffled = network("shuffled", dict(zip(seen, moved)))
    one = lab.train("one", train_mixture={"sources": [{"file": files[task]} for task in seen]}, lora={"rank": 4, "alpha": 8},
                    **{**setting, "learning_rate": 6e-3})
    models = [lab.made(f"whole/{short_name[task]}", lambda path, t=task: lab.verb(
        "merge", model, "--adapter", written("written", own, t), "--out", path, "--dtype", "F32")) for task in seen]
    middle = lab.merge("mean", merge_method="linear", dtype="float32", models=[
        {"model": path, "parameters": {"weight": 1 / len(models)}} for path in models])
    others = dict(zip(UNSEEN, UNSEEN[1:] + UNSEEN[:1]))
    losses = lambda of: {short_name[task]: of(task) for task in UNSEEN}
    return {
        "base": losses(lambda task: lab.loss(model, files[task])),
        "written": losses(lambda task: lab.loss(model, files[task], written("written", own, task))),
        "seen": {short_name[task]: lab.loss(model, files[task], written("written", own, task)) for task in seen[:4]},
        "other": losses(lambda task: lab.loss(model, files[task], written("written", own, others[task]))),
        "shuffled": losses(lambda task: lab.loss(model, files[task], written("written-shuffled", shuffled, task))),
        "mean": losses(lambda task: lab.loss(middle, files[task])),
        "one": losses(lambda task: lab.loss(model, files[task], one)),
    }


def judge(f):
    """What of CLAIMS is true of one seed, with the figures that say so."""
    average = {name: mean(losses.values()) for name, losses in f.items()}
    ours = average["written"]
    below = lambda name: all(f["written"][task] < f[name][task] for task in f["written"])
    return {
        "beats_base": (below("base"), f"{ours:.3f} : {average['base']:.3f}"),
        "beats_mean": (below("mean"), f"{ours:.3f} : {average['mean']:.3f}"),
        "beats_one": (ours < average["one"], f"{ours:.3f} : {average['one']:.3f}"),
        "aligned_beats_shuffled": (ours < min(average["shuffled"], average["other"]),
                                   f"{ours:.3f} : {average['shuffled']:.3f}, {average['other']:.3f}"),
    }
