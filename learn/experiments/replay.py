"""PMC-LLaMA and continual learning: what reading a domain costs a model in general, with and without old data mixed in;
and four domains one after the other, what is forgotten of the earlier ones."""

from statistics import mean

from learn import corpora
from learn.specialists import DOMAINS, base, domain_tokens, general_tokens

CLAIMS = {
    "replay_keeps_general": "reading medicine with 1 part of books in 20 raises the loss on other books less than without",
    "ewc_keeps_general": "the same of elastic weight consolidation, which measures books once and reads none again",
    "reading_helps_answering": "reading medicine, then fine-tuning on answers, beats fine-tuning alone at equal steps",
    "replay_halves_forgetting": "four domains in turn: 5 % of earlier data halve the average forgetting",
}
ORDER = list(DOMAINS)


def whole(lab, seed, **more):
    """Training of all weights."""
    return {"seed": seed, "max_seq_len": 256, "per_device_train_batch_size": 16, "learning_rate": 1e-3,
            "warmup_ratio": 0.1, "dtype": "float32", "logging_steps": 20, **more}


def reading(lab, seed, model, general):
    """Losses of models that read medicine: with and without books beside it, and with weights that books need held fast."""
    medicine = list(corpora.medicine())
    train, held = corpora.split(medicine, seed, 60 if lab.short else 6000, 20 if lab.short else 200)
    answers = train[:20 if lab.short else 400]  # the only ones that come with their questions
    texts = lab.tokens("reading/texts", [{"text": row["completion"].strip()} for row in train], model, 512)
    books = lab.tokens("reading/books", corpora.books(lab.short)[0][:40 if lab.short else 400], model, 0)
    pairs = lab.tokens("reading/answers", answers, model, 256)
    test = lab.tokens("reading/test", held, model, 256)
    mixed = {"order": "shares", "sources": [{"file": texts, "weight": 19}, {"file": books, "weight": 1}]}
    figures = {"general": {"base": lab.loss(model, general)}, "answers": {}}
    for name, data in (("plain", {"train_file": texts}), ("mixed", {"train_mixture": mixed}),
                       ("ewc", {"train_file": texts, "ewc": {"file": books, "weight": 100}})):
        read = lab.train(f"reading/{name}", model=model, stage="pretrain", num_train_epochs=1, **data,
                         **whole(lab, seed))
        figures["general"][name] = lab.loss(read, general)
        if name == "mixed":
            tuned = lab.train("reading/read_tuned", model=read, stage="sft", train_file=pairs, num_train_epochs=2,
                              **whole(lab, seed, per_device_train_batch_size=4))
            figures["answers"]["read"] = lab.loss(tuned, test)
    tuned = lab.train("reading/tuned", model=model, stage="sft", train_file=pairs, num_train_epochs=2,
                      **whole(lab, seed, per_device_train_batch_size=4))
    figures["answers"]["not_read"] = lab.loss(tuned, test)
    return figures


def in_turn(lab, seed, model, files, share):
    """R[i][j]: loss on domain j after training on domains 0..i, with `share` of the tokens from earlier ones."""
    matrix = [[lab.loss(model, files[name]["test"]) for name in ORDER]]
    for i, name in enumerate(ORDER):
        sources = [{"file": files[name]["train"], "weight": 1 - share if share and i else 1}]
        if share:
            sources += [{"file": files[old]["train"], "weight": share / i} for old in ORDER[:i]]
        steps = 10 if lab.short else 150
        model = lab.train(f"turns-{share}/{i}-{name}", model=model, stage="sft", max_steps=steps, num_train_epochs=100,
                          train_mixture={"order": "shares", "sources": sources}, **whole(lab, seed))
        matrix.append([lab.loss(model, files[other]["test"]) for other in ORDER])
    return matrix


def forgetting(matrix):
    """How much more is lost on each domain but the last at the end than right after it was learnt, on the mean."""
    return mean(matrix[-1][j] - matrix[j + 1][j] for j in range(len(ORDER) - 1))


def run(lab, seed):
    """The figures of one seed."""
    model = base(lab)
    general = general_tokens(lab, model)
    lab = lab.within(f"replay-{seed}")
    files = domain_tokens(lab, model, seed, DOMAINS)
    return {**reading(lab, seed, model, general),
            "turns": {"naive": in_turn(lab, seed, model, files, 0), "replay": in_turn(lab, seed, model, files, 0.05)}}


def judge(f):
    """What of CLAIMS is true of one seed, with the figures that say so."""
    start = f["general"]["base"]
    mixed, ewc, plain = (f["general"][name] - start for name in ("mixed", "ewc", "plain"))
    read, not_read = f["answers"]["read"], f["answers"]["not_read"]
    naive, replay = forgetting(f["turns"]["naive"]), forgetting(f["turns"]["replay"])
    return {
        "replay_keeps_general": (mixed < plain, f"{mixed:+.3f} : {plain:+.3f}"),
        "ewc_keeps_general": (ewc < plain, f"{ewc:+.3f} : {plain:+.3f}"),
        "reading_helps_answering": (read < not_read, f"{read:.3f} : {not_read:.3f}"),
        "replay_halves_forgetting": (replay <= naive / 2, f"{replay:.3f} : {naive:.3f}"),
    }
