"""The laboratory: runs verbs of metier in a folder of its own, and remembers what is done.

Every verb's result has a name; where it stands already, the verb is not run again. So a series that was stopped goes on.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Missing(Exception):
    """What an experiment needs is not on this machine; the text says what."""


class Lab:
    """A folder, and the program that fills it. `short`: a tenth of the data, to see that everything runs."""

    def __init__(self, folder, metier, short=False):
        self.folder = pathlib.Path(folder)
        self.metier = pathlib.Path(metier)
        self.short = short
        self.folder.mkdir(parents=True, exist_ok=True)

    def within(self, name):
        """A laboratory of a folder inside this one."""
        return Lab(self.folder / name, self.metier, self.short)

    def verb(self, *words):
        """What a verb prints with --json. Its messages go to a log beside its results."""
        with open(self.folder / "log.txt", "a", encoding="utf-8") as log:
            print("$ metier", *words, file=log, flush=True)
            run = subprocess.run([str(self.metier), *map(str, words), "--json"], stdout=subprocess.PIPE, stderr=log,
                                 text=True, check=False)
        if run.returncode != 0:
            tail = (self.folder / "log.txt").read_text(encoding="utf-8").splitlines()[-5:]
            raise RuntimeError(f"metier {words[0]} ended with exit code {run.returncode}:\n" + "\n".join(tail))
        return json.loads(run.stdout)

    def made(self, path, make):
        """path, made by `make(path)` unless it is there."""
        path = self.folder / path
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            make(path)
        return path

    def rows(self, name, rows):
        """A JSONL file."""
        def write(path):
            part = path.with_suffix(".part")
            part.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            part.replace(path)
        return self.made(f"{name}.jsonl", write)

    def tokens(self, name, rows, model, max_tokens):
        """A token file of rows; longer ones lose their front, or are left out."""
        source = self.rows(name, rows)
        return self.made(f"{name}.safetensors", lambda path: self.verb(
            "data", "build", source, "--model", model, "--out", path, "--max-tokens", max_tokens,
            "--long-examples", "drop"))

    def train(self, name, **config):
        """The final model or adapter of a training run; goes on where it was stopped."""
        out = self.folder / name
        if not (out / "final").exists():
            out.mkdir(parents=True, exist_ok=True)
            (out / "train.yml").write_text(yaml_of({**config, "output_dir": out}), encoding="utf-8")
            self.verb("train", out / "train.yml")
        return out / "final"

    def log(self, final):
        """Lines of the trainer's log of a run, by the folder that `train` returned."""
        with open(final.parent / "trainer_log.jsonl", encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    def merge(self, name, **config):
        """A merged model."""
        def run(path):
            setting = path.with_suffix(".yml")
            setting.write_text(yaml_of(config), encoding="utf-8")
            self.verb("merge", setting, "--out", path)
        return self.made(name, run)

    def loss(self, model, tokens, adapter=None):
        """Loss of a model on a token file that nobody trained on."""
        words = ["eval", model, "--suite", "loss", "--file", tokens, "--arithmetic", "exact"]
        return self.verb(*words, *(["--adapter", adapter] if adapter else []))["loss"]


def shared():
    """The folder of public data sets."""
    folder = pathlib.Path(os.environ.get("METIER_SHARED", ROOT.parent / "shared")) / "data"
    if not folder.is_dir():
        raise Missing(f"no data sets in '{folder}': set METIER_SHARED")
    if not shutil.which("zstd"):
        raise Missing("no program zstd: run scripts/setup")
    return folder


def id_of(model, token):
    """The id of a special token of a model."""
    added = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    return next(one["id"] for one in added if one["content"] == token)


def yaml_of(value):
    """A configuration, paths in it: JSON, which is YAML."""
    return json.dumps(value, default=str)


def note(text):
    print(text, file=sys.stderr, flush=True)
