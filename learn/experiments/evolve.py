"""Evolutionary model merge (Akiba et al. 2024): two models of one base, of two domains, and a search over how much of each
goes into every part of the layers."""

from statistics import mean

from learn import corpora
from learn.experiments.domains import counts, expert, losses
from learn.lab import yaml_of
from learn.specialists import DOMAINS, base, domain_tokens

CLAIMS = {"evolved": "the evolved merge of two models: mean loss of both domains below both models and their plain mean"}
PAIR = ("medicine", "mathematics")


def run(lab, seed):
    """The figures of one seed."""
    model = base(lab)
    lab = lab.within(f"domains-{seed}")  # the adapters of `domains`
    files = domain_tokens(lab, model, seed, {name: DOMAINS[name] for name in PAIR}, counts(lab))
    models = {}
    for name in PAIR:
        one = expert(lab, model, seed, name, files[name]["train"])
        models[name] = lab.made(f"whole/{name}", lambda path, a=one: lab.verb(
            "merge", model, "--adapter", a, "--out", path, "--dtype", "F32"))
    figures = {name: losses(lab, one, files) for name, one in models.items()}
    merged = lab.merge("pair/linear", merge_method="linear", dtype="float32", models=[
        {"model": one, "parameters": {"weight": 0.5}} for one in models.values()])
    figures["linear"] = losses(lab, merged, files)
    texts = []
    for name in PAIR:
        train, _ = corpora.split(DOMAINS[name](), seed, *counts(lab))
        texts.append({"file": str(lab.rows(f"pair/{name}", [
            {"text": row["prompt"] + row["completion"]} for row in train[:10 if lab.short else 60]]))})

    def evolve(path):
        setting = lab.folder / "pair/evolve.yml"
        setting.write_text(yaml_of({
            "merge_method": "task_arithmetic", "seed": seed, "base_model": model, "dtype": "float32",
            "models": [{"model": one, "parameters": {"weight": {"search": [0, 1.5], "points": 3}}}
                       for one in models.values()],
            "evolve": {"files": texts, "generations": 2 if lab.short else 10}}), encoding="utf-8")
        lab.verb("merge", "evolve", setting, "--out", path.parent)

    figures["evolved"] = losses(lab, lab.made("pair/evolved/merged", evolve), files)
    return figures


def judge(f):
    """What of CLAIMS is true of one seed, with the figures that say so."""
    means = {name: mean(one.values()) for name, one in f.items()}
    others = [means[name] for name in (*PAIR, "linear")]
    return {"evolved": (means["evolved"] < min(others),
                        f"{means['evolved']:.3f} : {', '.join(f'{value:.3f}' for value in others)}")}
