"""Claims, what each seed says of them, and the table of docs/methods.md."""

from dataclasses import dataclass

BEGIN = "<!-- written by scripts/learn --write -->\n"
END = "<!-- end of what is written -->\n"


@dataclass
class Row:
    """A claim of an experiment, and what the seeds say."""
    experiment: str
    claim: str
    figures: list  # texts, a seed each
    seeds_for: int
    holds: bool


def judge(name, module, by_seed):
    """The rows of an experiment. A claim holds where every seed bears it out, or as many as the module says are enough."""
    enough = getattr(module, "SEEDS_ENOUGH", {})
    verdicts = [module.judge(figures) for figures in by_seed.values()]
    rows = []
    for key, claim in module.CLAIMS.items():
        said = [verdict[key] for verdict in verdicts]
        seeds_for = sum(bool(holds) for holds, _ in said)
        rows.append(Row(name, claim, [figures for _, figures in said], seeds_for,
                        seeds_for >= min(enough.get(key, len(said)), len(said))))
    return rows


def table(rows):
    """As Markdown, which is readable in a terminal too."""
    lines = ["| experiment | claim | seeds that bear it out | figures, a seed each |", "| --- | --- | --- | --- |"]
    for row in rows:
        lines.append(f"| `{row.experiment}` | {row.claim} | {row.seeds_for} of {len(row.figures)} | "
                     f"{'; '.join(row.figures)} |")
    return "\n".join(lines) + "\n"


def write(path, rows):
    """Replaces the rows of these experiments in the file's table, and keeps the others'."""
    text = path.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    old, after = rest.split(END)
    fresh = {row.experiment for row in rows}
    kept = [line for line in old.splitlines()[2:] if line.split("`")[1] not in fresh]
    lines = table(rows).splitlines()
    body = sorted(kept + lines[2:], key=lambda line: line.split("`")[1])
    path.write_text(before + BEGIN + "\n".join(lines[:2] + body) + "\n" + END + after, encoding="utf-8")
