"""What the experiments share: the base that has read books, and adapters of domains."""

from learn import corpora
from learn.lab import ROOT

DOMAINS = {"medicine": corpora.medicine, "law": corpora.law, "mathematics": corpora.mathematics,
           "retail": corpora.retail}
NEW_DOMAIN = {"programs": corpora.programs}
LONGEST = 256  # tokens of an example
# Special tokens of the base that it has never read.
MASK = "<|mask|>"
PROMPT = [f"<|prompt{number}|>" for number in range(1, 10)]


def base(lab):
    """The model of learn/base.yaml: 3.4 million parameters, books only."""
    return of_base(lab, "pretrain/final", "pretrain")


def words(lab):
    """The base's tokenizer alone, for models that begin with nothing."""
    return of_base(lab, "tokenizer", "tokenizer")


def of_base(lab, part, stage):
    """What a stage of learn/base.yaml makes, after those before it."""
    whole = lab.folder / "base"
    if not (whole / part).exists():
        train, valid = corpora.books(lab.short)
        files = {"train": lab.rows("books", train), "valid": lab.rows("other_books", valid)}
        sets = [word for name, path in files.items() for word in ("--set", f"inputs.{name}={path}")]
        if lab.short:
            sets += ["--set", "stages.pretrain.train.max_steps=30"]
        lab.verb("run", ROOT / "learn/base.yaml", "--out", whole, "--until", stage, *sets)
    return whole / part


def sizes(lab):
    """Examples of a domain to learn from, and to judge by."""
    return (60, 20) if lab.short else (500, 120)


def domain_tokens(lab, model, seed, domains, counts=None):
    """{domain: {"train": token file, "test": token file}}, the split drawn by the seed."""
    files = {}
    for name, rows in domains.items():
        parts = corpora.split(rows(), seed, *(counts or sizes(lab)))
        files[name] = {part: lab.tokens(f"data/{name}-{part}", rows, model, LONGEST)
                       for part, rows in zip(("train", "test"), parts)}
    return files


def training(lab, seed, **more):
    """What all adapters are trained with."""
    return {"stage": "sft", "seed": seed, "max_seq_len": LONGEST, "per_device_train_batch_size": 8,
            "learning_rate": 3e-3, "num_train_epochs": 1 if lab.short else 3, "lr_scheduler_type": "cosine",
            "warmup_ratio": 0.05, "logging_steps": 20, **more}


def adapter(lab, model, name, seed, file, rank=8, **more):
    """A LoRA of one domain."""
    return lab.train(name, model=model, train_file=file, lora={"rank": rank, "alpha": 2 * rank},
                     **training(lab, seed, **more))


def general_tokens(lab, model):
    """A token file of books that the base has not read."""
    return lab.tokens("general", corpora.books(lab.short)[1], model, 512)
