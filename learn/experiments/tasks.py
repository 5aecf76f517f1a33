"""Task-MoE (Kudugunta et al. 2021): experts that the text's task chooses, against a dense model that computes as much for
each token."""

from statistics import mean

from learn.specialists import DOMAINS, LONGEST, domain_tokens, words

CLAIMS = {
    "tasks_help": "four tasks from scratch: mean loss of experts by task below a dense model of equal active parameters",
}


def shape(**more):
    return {"vocab_size": 4096, "hidden_size": 128, "num_hidden_layers": 6, "num_attention_heads": 4,
            "num_key_value_heads": 4, "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "tie_word_embeddings": True,
            **more}


def run(lab, seed):
    """The figures of one seed."""
    tokenizer = words(lab)
    lab = lab.within(f"tasks-{seed}")
    files = domain_tokens(lab, tokenizer, seed, DOMAINS, (60, 20) if lab.short else (1500, 150))

    def learn(name, spec, tasks):
        owner = lambda task: {"task": task} if tasks else {}
        sources = [{"file": file["train"], **owner(task)} for task, file in files.items()]
        tests = [{"name": task, "file": file["test"], **owner(task)} for task, file in files.items()]
        return lab.train(name, stage="pretrain", seed=seed, init={"spec": spec}, tokenizer=tokenizer,
                         train_mixture={"sources": sources}, eval_files=tests, max_seq_len=LONGEST,
                         per_device_train_batch_size=8, learning_rate=2e-3, warmup_ratio=0.05, adam_beta2=0.95,
                         num_train_epochs=1 if lab.short else 4, bf16=False, dtype="float32", logging_steps=20)

    finals = {"dense": learn("dense", shape(model_type="llama", intermediate_size=512), False),
              "experts": learn("experts", shape(model_type="metier_task_experts", intermediate_size=256, num_experts=8,
                                                num_experts_per_tok=2, tasks=list(files)), True)}
    figures = {}
    for name, final in finals.items():
        last = [line for line in lab.log(final) if "eval_loss" in line][-1]
        figures[name] = {task: last[f"eval_loss_{task}"] for task in files}
    return figures


def judge(f):
    """What of CLAIMS is true of one seed, with the figures that say so."""
    dense, experts = mean(f["dense"].values()), mean(f["experts"].values())
    return {"tasks_help": (experts < dense, f"{experts:.3f} : {dense:.3f}")}
