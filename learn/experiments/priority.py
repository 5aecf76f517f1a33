"""HuatuoGPT-II: one stage in which easy data come early and pass into instructions, against two stages with a border."""

from statistics import mean, stdev

from learn import corpora
from learn.specialists import base

CLAIMS = {
    "one_stage": "priority sampling: held-out answers at most 1 % above those of two stages, at equal tokens and schedule",
    "no_jump": "its loss never jumps by more than twice its running spread where the other's stages meet",
}


def run(lab, seed):
    """The figures of one seed."""
    model = base(lab)
    lab = lab.within(f"priority-{seed}")
    train, held = corpora.split(corpora.medicine(), seed, 100 if lab.short else 3000, 20 if lab.short else 200)
    count = len(train) // 5
    answers, rest = train[:count], train[count:]
    # As HuatuoGPT-II unifies its corpus: what was a text becomes an answer.
    texts = [{"prompt": "Tell me what you know.\nAnswer:", "completion": row["completion"]} for row in rest]
    files = {name: lab.tokens(name, rows, model, 256)
             for name, rows in (("texts", texts), ("answers", answers), ("held", held))}
    figures = {}
    # A weight that beats all others is a border: the heavy source is used up before the light one begins.
    for name, weight in (("one", 8), ("two", 1e9)):
        final = lab.train(name, model=model, stage="sft", seed=seed, max_seq_len=256, per_device_train_batch_size=8,
                          learning_rate=1e-3, warmup_ratio=0.05, num_train_epochs=1, dtype="float32", logging_steps=1,
                          train_mixture={"order": "priority", "sources": [
                              {"file": files["texts"], "weight": weight},
                              {"file": files["answers"], "weight": 1, "repeats": 3}]})
        figures[name] = {"held": lab.loss(final, files["held"]),
                         "course": [line["loss"] for line in lab.log(final) if "loss" in line]}
    return figures


def largest_jump(course):
    """Of the mean of 10 steps against that of the 10 before, in units of the spread of the latter, after a quarter."""
    jumps = [(mean(course[i:i + 10]) - mean(course[i - 10:i])) / max(stdev(course[i - 10:i]), 1e-6)
             for i in range(max(10, len(course) // 4), len(course) - 10)]
    return max(jumps, default=0.0)


def judge(f):
    """What of CLAIMS is true of one seed, with the figures that say so."""
    one, two = f["one"]["held"], f["two"]["held"]
    jump, other = largest_jump(f["one"]["course"]), largest_jump(f["two"]["course"])
    return {"one_stage": (one <= 1.01 * two, f"{one:.3f} : {two:.3f}"),
            "no_jump": (jump <= 2, f"{jump:.1f} : {other:.1f}")}
