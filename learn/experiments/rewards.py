"""GRPO with FinGPT's reward: an adapter that has seen few labels answers other news by itself, and is told for each answer
whether the label is the right one."""

from learn import corpora
from learn.experiments.labels import questions
from learn.specialists import adapter, base, training

CLAIMS = {
    "rewards_teach": "sentiment of financial news: what the model answers is right more often by 0.05 at least after it was "
                     "rewarded for right labels",
    "keeps_answering": "and it was rewarded more at the end than at the beginning while it drew its answers",
}


def run(lab, seed):
    """The figures of one seed."""
    model = base(lab)
    lab = lab.within(f"rewards-{seed}")
    train, test = corpora.split(questions(), seed, 60 if lab.short else 1900, 20 if lab.short else 400)
    files = {}
    few = 30 if lab.short else 300
    for name, rows in (("few", train[:few]), ("more", train[few:]), ("test", test)):
        pairs = [{"prompt": row["prompt"], "completion": row["choices"][row["answer"]]} for row in rows]
        files[name] = lab.tokens(name, pairs, model, 200)
    begun = adapter(lab, model, "begun", seed, files["few"], num_train_epochs=1)
    setting = {**training(lab, seed), "stage": "grpo", "learning_rate": 1e-3, "max_steps": 5 if lab.short else 200,
               "num_train_epochs": 1, "logging_steps": 1 if lab.short else 20}
    final = lab.train("rewarded", model=model, train_file=files["more"], eval_file=files["test"], eval_on_start=True,
                      lora={"rank": 8, "alpha": 16, "adapter": begun},
                      grpo={"rewards": [{"kind": "label"}], "num_generations": 8, "max_completion_length": 8}, **setting)
    log = lab.log(final)
    evaluated = [line["eval_reward"] for line in log if "eval_reward" in line]
    drawn = [line["reward"] for line in log if "reward" in line]
    return {"before": evaluated[0], "after": evaluated[-1], "first": drawn[0], "last": drawn[-1]}


def judge(f):
    """What of CLAIMS is true of one seed, with the figures that say so."""
    return {"rewards_teach": (f["after"] >= f["before"] + 0.05, f"{f['before']:.3f} -> {f['after']:.3f}"),
            "keeps_answering": (f["last"] > f["first"], f"{f['first']:.3f} -> {f['last']:.3f}")}
