"""Expert Choice (Zhou et al. 2022): encoders that restore hidden tokens, whose experts choose their tokens, against tokens that
choose one expert each (Switch). Both compute one expert a token."""

from learn import corpora
from learn.lab import id_of
from learn.specialists import MASK, words

CLAIMS = {
    "choice_wins": "experts that choose, each its even share: loss of hidden tokens not above that of Switch without a balance loss",
    "even": "the fullest expert has the mean's tokens where experts choose; more than 1.3 times as many under Switch",
}
SEEDS_ENOUGH = {"choice_wins": 2}
CHOICE = {"model_type": "metier_expert_choice", "expert_capacity": 1}
SWITCH = {"model_type": "metier_experts", "num_experts_per_tok": 1}


def shape(kind):
    return {"architectures": ["MetierExpertsForMaskedLM"], "is_causal": False, "vocab_size": 4096, "hidden_size": 128,
            "intermediate_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 4,
            "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "tie_word_embeddings": True, "num_experts": [0, 8, 0, 8],
            **kind}


def fullest(lab, final):
    """Tokens of the fullest expert over those of the mean one, the worst layer's, in the run's last steps."""
    tokens = [line["expert_tokens"] for line in lab.log(final) if "expert_tokens" in line][-1]
    return max(max(layer) * len(layer) / sum(layer) for layer in tokens)


def run(lab, seed):
    """The figures of one seed."""
    tokenizer = words(lab)
    rows, held = corpora.books(lab.short)
    lab = lab.within(f"choosers-{seed}")
    train, _ = corpora.split(rows, seed, 60 if lab.short else 1000, 1)
    files = {"train_file": lab.tokens("train", train, tokenizer, 0),
             "eval_file": lab.tokens("test", held, tokenizer, 0)}

    def learn(name, kind):
        final = lab.train(name, stage="mlm", mask_token_id=id_of(tokenizer, MASK), seed=seed, init={"spec": shape(kind)},
                          tokenizer=tokenizer, max_seq_len=256, per_device_train_batch_size=8, learning_rate=2e-3,
                          warmup_ratio=0.05, adam_beta2=0.95, dtype="float32", logging_steps=20,
                          num_train_epochs=1 if lab.short else 4, **files)
        return {"loss": lab.log(final)[-1]["eval_loss"], "fullest": fullest(lab, final)}

    return {"choice": learn("choice", CHOICE), "switch": learn("switch", SWITCH)}


def judge(f):
    """What of CLAIMS is true of one seed, with the figures that say so."""
    choice, switch = f["choice"], f["switch"]
    return {"choice_wins": (choice["loss"] <= switch["loss"], f"{choice['loss']:.3f} : {switch['loss']:.3f}"),
            "even": (choice["fullest"] == 1 and switch["fullest"] > 1.3,
                     f"{choice['fullest']:.2f} : {switch['fullest']:.2f}")}
