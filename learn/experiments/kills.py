"""The demo, shortened, once undisturbed and once killed with SIGKILL at random moments of any stage: both must end with
the same bytes of the adapter and of the packaged specialist."""

import hashlib
import random
import shutil
import signal
import subprocess
import time

from learn.experiments.retail import SHORT, command

CLAIMS = {"same_bytes": "a run killed again and again ends with the bytes of one that was not"}
NEEDS_DATA = False


def digests(out):
    """SHA-256 of every file that a user keeps. The records beside them name their folder and say how long it took."""
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
            for folder in ("sft/final", "specialist") for path in sorted((out / folder).rglob("*"))
            if path.is_file() and path.name not in ("manifest.json", "stage.json")}


def quietly(words):
    subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


def run(lab, seed):
    folder = lab.within(f"kills-{seed}").folder
    plain, killed = folder / "plain", folder / "killed"
    shutil.rmtree(killed, ignore_errors=True)
    started = time.monotonic()
    quietly(command(lab, plain, seed, SHORT))
    whole = time.monotonic() - started
    chance = random.Random(seed)
    done = 0
    same = True
    while same and done < (2 if lab.short else 7):
        process = subprocess.Popen(command(lab, killed, seed, SHORT), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            # Any moment of any stage; and the run must get on between the kills.
            process.wait(timeout=chance.uniform(0.05, max(whole, 1)))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            done += 1
            continue
        if process.returncode != 0:
            raise RuntimeError(f"a resumed run ended with exit code {process.returncode}")
        # It came through: begin anew, so that all kills happen.
        same = digests(killed) == digests(plain)
        shutil.rmtree(killed)
    quietly(command(lab, killed, seed, SHORT))
    other = sorted(name for name, digest in digests(plain).items() if digests(killed).get(name) != digest)
    return {"kills": done, "other": other if same else ["a run between two kills"], "files": len(digests(plain))}


def judge(f):
    return {"same_bytes": (not f["other"], f"{f['kills']} kills, {f['files']} files; other bytes: {f['other'] or 'none'}")}
