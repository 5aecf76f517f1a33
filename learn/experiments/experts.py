"""DeepSpeed-MoE (Rajbhandari et al. 2022): few experts in early layers, more in late ones, each beside a dense feed-forward,
against as many in each layer; and a shallower student of it, taught in stages."""

import json

from learn import corpora
from learn.specialists import words

CLAIMS = {
    "pyramid": "a residual pyramid's loss at most 1 % above that of experts alike in all layers, with 30 % fewer parameters",
    "taught": "a student of fewer layers that the pyramid teaches for four fifths of the steps, below one without a teacher",
    "staged": "and not above one that it teaches to the end",
}
ALIKE = {"num_experts": [0, 8] * 4, "num_experts_per_tok": 2}
PYRAMID = {"num_experts": [0, 2, 0, 2, 0, 4, 0, 4], "num_experts_per_tok": 1, "residual_experts": True}
STUDENT = {**PYRAMID, "num_experts": [2, 0, 2, 0, 4, 0, 4]}


def shape(experts):
    return {"model_type": "metier_experts", "vocab_size": 4096, "hidden_size": 128, "intermediate_size": 256,
            "num_hidden_layers": len(experts["num_experts"]), "num_attention_heads": 4, "num_key_value_heads": 4,
            "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "tie_word_embeddings": True, **experts}


def parameters(model):
    """Numbers in the files of a model."""
    count = 0
    for path in model.glob("*.safetensors"):
        with open(path, "rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        for name, tensor in header.items():
            size = 1
            for dimension in tensor.get("shape", [0]):
                size *= dimension
            count += 0 if name == "__metadata__" else size
    return count


def run(lab, seed):
    """The figures of one seed."""
    tokenizer = words(lab)
    rows, held = corpora.books(lab.short)
    lab = lab.within(f"experts-{seed}")
    train, _ = corpora.split(rows, seed, 60 if lab.short else 1000, 1)
    files = {"train_file": lab.tokens("train", train, tokenizer, 0)}
    test = lab.tokens("test", held, tokenizer, 512)

    def learn(name, experts, **more):
        final = lab.train(name, stage="pretrain", seed=seed, init={"spec": shape(experts)}, tokenizer=tokenizer,
                          max_seq_len=512, per_device_train_batch_size=4, learning_rate=2e-3, warmup_ratio=0.05,
                          adam_beta2=0.95, router_aux_loss_coef=0.01, dtype="float32", logging_steps=20, **files, **more)
        return final, {"loss": lab.loss(final, test), "parameters": parameters(final)}

    figures = {}
    _, figures["alike"] = learn("alike", ALIKE)
    teacher, figures["pyramid"] = learn("pyramid", PYRAMID)
    _, figures["untaught"] = learn("untaught", STUDENT)
    for name, until in (("staged", 0.8), ("taught", 1.0)):
        _, figures[name] = learn(name, STUDENT, distill={"teacher": teacher, "alpha": 0.5, "until": until})
    return figures


def judge(f):
    """What of CLAIMS is true of one seed, with the figures that say so."""
    loss = {name: one["loss"] for name, one in f.items()}
    fewer = 1 - f["pyramid"]["parameters"] / f["alike"]["parameters"]
    return {
        "pyramid": (loss["pyramid"] <= 1.01 * loss["alike"] and fewer >= 0.3,
                    f"{loss['pyramid']:.3f} : {loss['alike']:.3f}, {100 * fewer:.0f} % fewer"),
        "taught": (loss["staged"] < loss["untaught"], f"{loss['staged']:.3f} : {loss['untaught']:.3f}"),
        "staged": (loss["staged"] <= loss["taught"], f"{loss['staged']:.3f} : {loss['taught']:.3f}"),
    }
