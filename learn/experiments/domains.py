"""Mixture-of-LoRAs: a routed mixture of domain adapters against one adapter for all of them, and against merges of the
domains' models; and what a further domain costs the old ones. What routing by token and an adapter of four times the rank do here
is in the figures, and no claim: docs/methods.md says what they say."""

from statistics import mean

from learn import corpora
from learn.lab import yaml_of
from learn.specialists import DOMAINS, NEW_DOMAIN, adapter, base, domain_tokens, training

CLAIMS = {
    "routed_beats_one": "routed by prompt: mean loss of four domains below one LoRA of equal active rank",
    "routed_beats_merges": "routed: below the best merge on three of four domains at least",
    "router_right": "the router's choices are the domain's own in 95 of 100",
    "fifth_is_cheap": "a fifth domain raises no old domain's loss by 1 %, and is itself learnt",
}


# What an adapter can hold is what is scarce here, not examples: few ranks, and as many examples as the domains have.
RANK = 4


def counts(lab):
    """Examples of a domain to learn from, and to judge by."""
    return (60, 20) if lab.short else (1500, 150)


def learning(lab):
    """How long adapters learn."""
    return {} if lab.short else {"num_train_epochs": 4}


def expert(lab, model, seed, name, file):
    """The adapter of one domain."""
    return adapter(lab, model, f"adapters/{name}", seed, file, RANK, **learning(lab))


def losses(lab, model, files, with_adapter=None):
    return {name: lab.loss(model, file["test"], with_adapter) for name, file in files.items()}


def router(lab, seed, name, model, files, route_by, stage="sft", **setting):
    """A router over adapters that are there, learnt from which domain a text is of."""
    sources = [{"file": file["train"], "expert": domain} for domain, file in files.items()]
    tests = [{"name": domain, "file": file["test"], "expert": domain} for domain, file in files.items()]
    final = lab.train(name, model=model, train_mixture={"sources": sources}, eval_files=tests,
                      router={"route_by": route_by, **setting},
                      **training(lab, seed, stage=stage, num_train_epochs=1, learning_rate=1e-2))
    right = [line["eval_router_accuracy"] for line in lab.log(final) if "eval_router_accuracy" in line]
    return final, right[-1]


def merges(lab, seed, base_model, adapters, files):
    """Merges of the domains' models by name."""
    models = {name: lab.made(f"whole/{name}", lambda path, a=one: lab.verb(
        "merge", base_model, "--adapter", a, "--out", path, "--dtype", "F32")) for name, one in adapters.items()}
    count = len(models)
    weighted = lambda **more: [{"model": path, "parameters": {"weight": 1 / count, **more}} for path in models.values()]
    from_base = {"base_model": base_model, "dtype": "float32"}
    merged = {
        "linear": lab.merge("merge/linear", merge_method="linear", models=weighted(), dtype="float32"),
        "task_arithmetic": lab.merge("merge/arithmetic", merge_method="task_arithmetic", **from_base, models=[
            {"model": path, "parameters": {"weight": 0.4}} for path in models.values()]),
        "ties": lab.merge("merge/ties", merge_method="ties", **from_base, parameters={"density": 0.5}, models=[
            {"model": path, "parameters": {"weight": 1}} for path in models.values()]),
        "dare_ties": lab.merge("merge/dare", merge_method="dare_ties", seed=seed, **from_base, models=[
            {"model": path, "parameters": {"weight": 0.5, "density": 0.7}} for path in models.values()]),
    }
    search = lab.folder / "merge/evolve.yml"
    texts = []
    for name, rows in DOMAINS.items():
        train, _ = corpora.split(rows(), seed, *counts(lab))
        texts.append({"file": str(lab.rows(f"merge/{name}", [
            {"text": row["prompt"] + row["completion"]} for row in train[:10 if lab.short else 60]]))})

    def evolve(path):
        lab.made("merge/evolve.yml", lambda setting: setting.write_text(yaml_of({
            "merge_method": "task_arithmetic", "seed": seed, **from_base,
            "models": [{"model": path, "parameters": {"weight": {"search": [0, 1.2]}}} for path in models.values()],
            "evolve": {"files": texts, "generations": 2 if lab.short else 10}}), encoding="utf-8"))
        lab.verb("merge", "evolve", search, "--out", path.parent)

    merged["evolved"] = lab.made("merge/evolved/merged", evolve)
    return merged


def run(lab, seed):
    """The figures of one seed."""
    model = base(lab)
    lab = lab.within(f"domains-{seed}")
    files = domain_tokens(lab, model, seed, DOMAINS, counts(lab))
    figures = {"base": losses(lab, model, files)}
    adapters = {name: expert(lab, model, seed, name, file["train"]) for name, file in files.items()}
    figures["own"] = {name: lab.loss(model, files[name]["test"], adapters[name]) for name in files}
    everything = {"sources": [{"file": file["train"]} for file in files.values()]}
    for name, rank in (("one", RANK), ("wide", 4 * RANK)):
        one = lab.train(name, model=model, train_mixture=everything, lora={"rank": rank, "alpha": 2 * rank},
                        **training(lab, seed, **learning(lab)))
        figures[name] = losses(lab, model, files, one)
    experts = [{"name": name, "adapter": str(one)} for name, one in adapters.items()]
    by_prompt, figures["sequence_accuracy"] = router(lab, seed, "routed", model, files, "sequence", experts=experts)
    figures["routed"] = losses(lab, model, files, by_prompt)
    by_token, figures["token_accuracy"] = router(lab, seed, "by_token", model, files, "token", experts=experts)
    figures["by_token"] = losses(lab, model, files, by_token)
    figures["merges"] = {name: losses(lab, merged, files)
                         for name, merged in merges(lab, seed, model, adapters, files).items()}

    more = {**files, **domain_tokens(lab, model, seed, NEW_DOMAIN, counts(lab))}
    new = next(iter(NEW_DOMAIN))
    fifth = expert(lab, model, seed, new, more[new]["train"])
    grown, figures["grown_accuracy"] = router(lab, seed, "grown", model, more, "sequence", mixture=str(by_prompt),
                                              experts=[{"name": new, "adapter": str(fifth)}])
    figures["grown"] = losses(lab, model, more, grown)
    figures["fifth_alone"] = lab.loss(model, more[new]["test"], fifth)
    figures["fifth_base"] = lab.loss(model, more[new]["test"])
    return figures


def judge(f):
    """What of CLAIMS is true of one seed, with the figures that say so."""
    average = {name: mean(f[name].values()) for name in ("one", "routed")}
    best_name = min(f["merges"], key=lambda name: mean(f["merges"][name].values()))
    best = f["merges"][best_name]
    wins = sum(f["routed"][name] < best[name] for name in best)
    rise = max(f["grown"][name] / f["routed"][name] - 1 for name in f["routed"])
    new = next(iter(NEW_DOMAIN))
    return {
        "routed_beats_one": (average["routed"] < average["one"], f"{average['routed']:.3f} : {average['one']:.3f}"),
        "routed_beats_merges": (wins >= 3, f"{wins} of 4, {average['routed']:.3f} : {mean(best.values()):.3f} ({best_name})"),
        "router_right": (f["sequence_accuracy"] >= 0.95, f"{100 * f['sequence_accuracy']:.1f} %"),
        "fifth_is_cheap": (rise < 0.01 and f["grown"][new] < f["fifth_base"],
                           f"{100 * rise:+.2f} %; {f['fifth_base']:.3f} -> {f['grown'][new]:.3f}"),
    }
