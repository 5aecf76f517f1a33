"""Self-MoE's routers: frozen experts of four made-up domains, of which every token tells whose it is, mixed token by token;
a fifth joins them."""

import codecs
from statistics import mean

from learn import corpora
from learn.experiments.domains import losses, router
from learn.specialists import base, training

CLAIMS = {
    "router_right": "routed by token: the expert is the text's own in 90 of 100 tokens",
    "routed_wins": "loss not above that of the better of merged adapters and one LoRA of equal active rank on three of four "
                   "domains at least",
    "fifth_is_cheap": "a fifth domain raises no old domain's loss by 1 %, and is itself learnt",
}
RANK = 4
VOWELS = str.maketrans("aeiouAEIOU", "4310748103")
CIPHERS = {
    "capitals": str.upper,
    "rotated": lambda text: codecs.encode(text.lower(), "rot13"),
    "backwards": lambda text: " ".join(word[::-1] for word in text.split()),
    "digits": lambda text: text.translate(VOWELS),
}
NEW = {"spaced": lambda text: "_".join(text.split())}


def ciphered(lab, model, seed, ciphers, first):
    """Token files of book passages, other ones for each cipher."""
    train, test = (60, 20) if lab.short else (600, 80)
    passages, _ = corpora.split([{"text": corpora.cut(row["text"], 500)} for row in corpora.books(lab.short)[0]], seed,
                                10 * (train + test), 0)
    files = {}
    for number, (name, cipher) in enumerate(ciphers.items(), first):
        own = [{"text": cipher(row["text"])} for row in passages[number * (train + test):][:train + test]]
        files[name] = {"train": lab.tokens(f"data/{name}-train", own[test:], model, 256),
                       "test": lab.tokens(f"data/{name}-test", own[:test], model, 256)}
    return files


def run(lab, seed):
    """The figures of one seed."""
    model = base(lab)
    lab = lab.within(f"ciphers-{seed}")
    files = ciphered(lab, model, seed, CIPHERS, 0)
    learning = {**training(lab, seed), "stage": "pretrain"}
    lora = {"rank": RANK, "alpha": 2 * RANK}
    learn = lambda name, **data: lab.train(name, model=model, lora=lora, **data, **learning)
    adapters = {name: learn(f"adapters/{name}", train_file=file["train"]) for name, file in files.items()}
    figures = {"base": losses(lab, model, files),
               "one": losses(lab, model, files, learn("one", train_mixture={
                   "sources": [{"file": file["train"]} for file in files.values()]}))}
    whole = {name: lab.made(f"whole/{name}", lambda path, a=one: lab.verb(
        "merge", model, "--adapter", a, "--out", path, "--dtype", "F32")) for name, one in adapters.items()}
    figures["merged"] = losses(lab, lab.merge(
        "merged", merge_method="task_arithmetic", base_model=model, dtype="float32",
        models=[{"model": path, "parameters": {"weight": 0.5}} for path in whole.values()]), files)
    experts = [{"name": name, "adapter": str(one)} for name, one in adapters.items()]
    routed, figures["accuracy"] = router(lab, seed, "routed", model, files, "token", stage="pretrain", experts=experts)
    figures["routed"] = losses(lab, model, files, routed)

    more = {**files, **ciphered(lab, model, seed, NEW, len(CIPHERS))}
    new = next(iter(NEW))
    fifth = learn(f"adapters/{new}", train_file=more[new]["train"])
    grown, _ = router(lab, seed, "grown", model, more, "token", stage="pretrain", mixture=str(routed),
                      experts=[{"name": new, "adapter": str(fifth)}])
    figures["grown"] = losses(lab, model, more, grown)
    figures["fifth_base"] = lab.loss(model, more[new]["test"])
    return figures


def judge(f):
    """What of CLAIMS is true of one seed, with the figures that say so."""
    average = {name: mean(f[name].values()) for name in ("routed", "one", "merged")}
    wins = sum(f["routed"][name] <= min(f["one"][name], f["merged"][name]) for name in f["routed"])
    rise = max(f["grown"][name] / f["routed"][name] - 1 for name in f["routed"])
    new = next(iter(NEW))
    return {
        "router_right": (f["accuracy"] >= 0.9, f"{100 * f['accuracy']:.1f} %"),
        "routed_wins": (wins >= 3, f"{wins} of 4, {average['routed']:.3f} : {average['one']:.3f}, {average['merged']:.3f}"),
        "fifth_is_cheap": (rise < 0.01 and f["grown"][new] < f["fifth_base"],
                           f"{100 * rise:+.2f} %; {f['fifth_base']:.3f} -> {f['grown'][new]:.3f}"),
    }
