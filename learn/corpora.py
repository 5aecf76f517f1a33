"""Public data sets as rows {"prompt", "completion"} or {"text"} (METIER_SHARED; nothing of them is in this repository)."""

import json
import random
import subprocess

from learn.lab import shared


def lines_of(path):
    """The rows of a JSONL file of the data sets, packed by zstd or not."""
    path = shared() / path
    if path.suffix == ".zst":
        text = subprocess.run(["zstd", "-dc", str(path)], stdout=subprocess.PIPE, check=True).stdout.decode("utf-8")
    else:
        text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def cut(text, most):
    """The beginning of a text, cut between words."""
    return text if len(text) <= most else text[:most].rsplit(" ", 1)[0]


def passages(text, length):
    """A text in passages of about `length` characters, whole paragraphs."""
    passage = ""
    for paragraph in text.split("\n\n"):
        passage += paragraph + "\n\n"
        if len(passage) > length:
            yield passage.strip()
            passage = ""
    if passage.strip():
        yield passage.strip()


def books(short=False):
    """(training rows, held-out rows): English prose; two whole books are held out."""
    rows = lines_of("text-classic-books/books_train.jsonl.zst")
    train = [{"text": part} for row in (rows[:2] if short else rows[:-2]) for part in passages(row["text"], 4000)]
    valid = [{"text": part} for row in rows[-2:] for part in list(passages(row["text"], 1500))[:60]]
    return train, valid


def medicine():
    """Questions of patients and answers of health institutes; answers that repeat are left out."""
    seen = set()
    for row in lines_of("med-medquad/medquad_train.jsonl.zst"):
        if row["answer"] and row["answer"] not in seen:
            seen.add(row["answer"])
            yield {"prompt": f"Question: {row['question']}\nAnswer:", "completion": " " + cut(row["answer"], 500)}


def law():
    """Headings of a city's code of laws, and what stands under them."""
    for title in ("12.jsonl", "15.jsonl", "22.jsonl.zst", "26.jsonl.zst", "28.jsonl.zst", "29.jsonl.zst",
                  "31.jsonl.zst", "42.jsonl.zst"):
        for row in lines_of(f"legal-dc-code/title_{title}"):
            if row["text"].strip():
                yield {"prompt": f"Section {row['num']}. {row['heading']}\n", "completion": cut(row["text"], 500)}


def mathematics():
    """Word problems and their solutions."""
    for row in lines_of("math-gsm8k/train.jsonl.zst"):
        yield {"prompt": f"Problem: {row['question']}\nSolution:", "completion": " " + row["answer"]}


def retail():
    """What customers of a shop want and what has to be done, and what agents answer them."""
    for row in lines_of("ecom-tau-bench-retail/tasks_train.jsonl"):
        actions = "\n".join(f"{action['name']} {json.dumps(action['kwargs'])}" for action in row["actions"])
        if actions:
            yield {"prompt": f"Customer: {cut(row['instruction'], 500)}\nActions:", "completion": "\n" + cut(actions, 500)}
    for row in lines_of("ecom-tau-bench-retail/few_shot.jsonl.zst"):
        turns = [turn for turn in row["messages_display"].split("\n") if turn.startswith(("user: ", "assistant: "))]
        for before, after in zip(turns, turns[1:]):
            if before.startswith("user: ") and after.startswith("assistant: ") and not after.endswith(": None"):
                yield {"prompt": f"Customer: {cut(before[6:], 400)}\nAgent:", "completion": after[10:]}


def programs():
    """Small programs by what they should do."""
    for row in lines_of("code-mbpp/mbpp_train_prompt.jsonl"):
        yield {"prompt": f"Task: {row['text']}\nProgram:\n", "completion": cut(row["code"].replace("\r", ""), 500)}


def split(rows, seed, train, test):
    """(training rows, held-out rows), drawn anew for each seed."""
    rows = list(rows)
    random.Random(seed).shuffle(rows)
    test = min(test, len(rows) // 5)
    return rows[test:test + train], rows[:test]
