"""Weak to strong (Burns et al. 2023): a small model that learnt a task from few labels teaches a larger one, which sees no
label. How much of what lies between them and true labels does the larger one recover?"""

from learn import corpora
from learn.specialists import DOMAINS, base, training

CLAIMS = {
    "recovers": "whose text it is, by its first words: of the gap between weak teacher and true labels, more than 20 % is "
                "recovered, and not more than all",
}
LETTERS = "ABCD"
WORDS = 8


def questions(seed, count):
    """Rows {"prompt", "choices", "answer"}: beginnings of texts of four domains, `count` of each."""
    rows = []
    for number, texts in enumerate(DOMAINS.values()):
        part, _ = corpora.split(texts(), seed, count, 1)
        for row in part:
            words = " ".join(row["completion"].split()[:WORDS])
            rows.append({"prompt": f"Text: {words}\nKind:", "choices": [f" {letter}" for letter in LETTERS],
                         "answer": number})
    return corpora.split(rows, seed, len(rows), 0)[0]


def run(lab, seed):
    """The figures of one seed."""
    strong = base(lab)
    lab = lab.within(f"weak-{seed}")
    rows = questions(seed, 40 if lab.short else 500)
    pairs = [{"prompt": row["prompt"], "completion": row["choices"][row["answer"]]} for row in rows]
    few, test = (40, 20) if lab.short else (240, 400)
    files = {"few": lab.tokens("few", pairs[:few], strong, 128),
             "pool": lab.tokens("pool", pairs[few:-test], strong, 128)}
    exam = lab.rows("test", rows[-test:])

    def accuracy(model):
        return lab.verb("eval", model, "--suite", "choices", "--file", exam, "--arithmetic", "exact")["accuracy"]

    small = {"model_type": "llama", "vocab_size": 4096, "hidden_size": 24, "intermediate_size": 48,
             "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 512,
             "rms_norm_eps": 1e-5, "tie_word_embeddings": True}
    whole = {"bf16": False, "dtype": "float32", "max_seq_len": 128}
    born = lab.train("born", init={"spec": small}, tokenizer=strong, train_file=files["few"],
                     **{**training(lab, seed, **whole), "stage": "pretrain", "learning_rate": 5e-3})
    weak = lab.train("weak", model=born, train_file=files["few"],
                     **training(lab, seed, **whole, num_train_epochs=1 if lab.short else 12))
    taught = {"teacher": weak, "alpha": 1, "confidence": 0.75}
    rate = {"learning_rate": 5e-4, **whole}
    figures = {"weak": accuracy(weak)}
    figures["strong"] = accuracy(lab.train("strong", model=strong, train_file=files["pool"],
                                           **training(lab, seed, **rate)))
    figures["weak_to_strong"] = accuracy(lab.train("weak_to_strong", model=strong, train_file=files["pool"],
                                                   distill=taught, **training(lab, seed, **rate)))
    return figures


def judge(f):
    """What of CLAIMS is true of one seed, with the figures that say so."""
    gap = f["strong"] - f["weak"]
    recovered = (f["weak_to_strong"] - f["weak"]) / gap if gap > 0 else 0.0
    return {"recovers": (0.2 < recovered <= 1, f"{100 * recovered:.0f} % of {f['weak']:.3f} -> {f['strong']:.3f}")}
