#!/usr/bin/python3
"""What the embedded model has learned, in numbers: report.py SONDE MODEL [-o OUT.md] [--quick]

SONDE is the program, MODEL what it opens with -m (a folder, or tiny). Everything is asked of the
program itself: documents and tasks that were made from seeds which the training text does not have,
their tokens, and the model's answers. --quick asks for fewer of each. Exits with 1 where a promise
is broken.
"""
import argparse
import collections
import json
import math
import os
import random
import subprocess
import sys
import tempfile

import h5py
import numpy as np

TRAINED = 1  # make.sh trains on documents of this seed
HELD_OUT = 1_000_001  # no document of this seed was trained on
PROMPT = "When Mara and Tobin went to the harbour, Mara gave the lantern to"


class Sonde:
    def __init__(self, program, model, quick):
        self.program, self.model = program, model
        self.prompts, self.held, self.trained = (60, 60, 4000) if quick else (300, 500, 40000)
        self.folder = tempfile.TemporaryDirectory()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def call(self, *args):
        run = subprocess.run([self.program, *args], stdout=subprocess.PIPE, check=False)
        if run.returncode:
            sys.exit(f"report.py: {' '.join(args[:4])} ended with {run.returncode}")
        return run.stdout.decode().splitlines()

    def dataset(self, spec, seed=HELD_OUT):
        lines = self.call("dataset", spec, "--seed", str(seed), "-m", self.model)
        return [json.loads(line) for line in lines]

    def tokens(self, texts):
        self.write_texts(texts)
        lines = self.call("tokens", "-m", self.model, "-f", self.path("in.jsonl"))
        return [json.loads(line)["ids"] for line in lines]

    def write_texts(self, texts):
        with open(self.path("in.jsonl"), "w", encoding="utf-8") as f:
            for text in texts:
                f.write(json.dumps({"text": text}) + "\n")

    def run(self, analysis, block, inputs, *args):
        """One block per input; inputs are texts, or lists of ids."""
        out = []
        for at in range(0, len(inputs), 100):
            part = inputs[at:at + 100]
            if isinstance(part[0], str):
                self.write_texts(part)
                given = ["-f", self.path("in.jsonl")]
            else:
                given = ["--tokens", ";".join(",".join(map(str, ids)) for ids in part)]
            report = self.path("out.h5")
            self.call("run", analysis, "-m", self.model, *given, "-o", report, "--quiet", *args)
            with h5py.File(report) as f:
                run = f[f"runs/000-{analysis}"]
                out += [run[f"input_{i}/{block}"][()] for i in range(len(part))]
        return out

    def next_logprob(self, inputs):
        """log p of every token after the first (BOS), per input."""
        return [row[:-1] for row in self.run("logits", "logprob_next", inputs)]

    def last_logprobs(self, texts):
        out = []
        for logits in self.run("logits", "logits", texts):
            row = logits[-1].astype(np.float64)
            row -= row.max()
            out.append(row - math.log(np.exp(row).sum()))
        return out


class Counts:
    """Unigrams with one added, bigrams backed by them (Witten and Bell 1991)."""

    def __init__(self, vocab):
        self.vocab, self.total = vocab, 0
        self.one = collections.Counter()
        self.two = collections.defaultdict(collections.Counter)

    def add(self, bos, ids):
        for a, b in zip([bos] + ids, ids):
            self.one[b] += 1
            self.two[a][b] += 1
            self.total += 1

    def unigram(self, b):
        return (self.one[b] + 1) / (self.total + self.vocab)

    def bigram(self, a, b):
        after = self.two.get(a)
        if not after:
            return self.unigram(b)
        n, kinds = sum(after.values()), len(after)
        return (after[b] + kinds * self.unigram(b)) / (n + kinds)

    def entropies(self, bos, documents):
        one = two = n = 0
        for ids in documents:
            for a, b in zip([bos] + ids, ids):
                one -= math.log(self.unigram(b))
                two -= math.log(self.bigram(a, b))
                n += 1
        return one / n, two / n


def language(s, bos, vocab, rows):
    trained = [d["text"] for d in s.dataset(f"world:{s.trained}", TRAINED)]
    counts = Counts(vocab)
    for ids in s.tokens(trained):
        counts.add(bos, ids)
    texts = [d["text"] for d in s.dataset(f"world:{s.held}")]
    held = [ids for ids in s.tokens(texts) if len(ids) < 256]
    one, two = counts.entropies(bos, held)
    loss = -np.concatenate(s.next_logprob([[bos] + ids for ids in held])).mean()
    rows += [
        ("held-out documents", f"{len(held)}, {sum(map(len, held))} tokens", ""),
        ("held-out loss, nats a token", f"{loss:.3f}", f"below {two * 0.6:.3f}"),
        ("unigram entropy of the same text", f"{one:.3f}", ""),
        ("bigram entropy of the same text", f"{two:.3f}", ""),
    ]
    return [("held-out loss under 0.6 of the bigram entropy", loss < 0.6 * two),
            ("held-out loss under 0.4 of the unigram entropy", loss < 0.4 * one)]


def repeats(s, bos, words, rows):
    """Whole words in a random order, then the same again; and random ids as `repeated_tokens`."""
    draw = random.Random(HELD_OUT)
    spans = [[draw.choice(words) for _ in range(25)] for _ in range(s.held // 5)]
    random_ids = [item["tokens"][1:] for item in s.dataset(f"repeated_tokens:{s.held // 5}")]
    checks = []
    # Many ids are fragments that no text has: their embeddings were never trained.
    for name, lists, most in (("words", [x + x for x in spans], 0.25),
                              ("random ids", random_ids, 0.75)):
        first, second = [], []
        for ids, row in zip(lists, s.next_logprob([[bos] + ids for ids in lists])):
            half = len(ids) // 2
            first.append(-row[:half].mean())
            second.append(-row[half + 1:].mean())  # its first token cannot be known
        a, b = np.mean(first), np.mean(second)
        rows += [(f"repeated {name}: loss in the first span", f"{a:.3f}", ""),
                 (f"repeated {name}: loss in the second", f"{b:.3f}", f"below {a * most:.3f}")]
        checks.append((f"repeated {name}: second span under {most} of the first", b < a * most))
    return checks


def as_list(answer):
    return answer if isinstance(answer, list) else [answer]


TASKS = [  # dataset, what it is, least share of right answers
    ("ioi_tiny", "indirect object", 0.9),
    ("greater_than_tiny", "greater-than", 0.9),
    ("pronoun_tiny", "gendered pronoun", 0.9),
    ("agreement_tiny", "subject-verb agreement", 0.9),
    ("capital_tiny", "capital of", 0.9),
    ("lives_tiny", "who lives where", 0.9),
    ("brackets_tiny", "brackets close in order", 0.9),
]


OPEN = {"brackets_tiny", "agreement_tiny"}


def task(s, name, title, least, ids, rows):
    items = s.dataset(f"{name}:{s.prompts}")
    best = better = mass = 0
    for item, row in zip(items, s.last_logprobs([item["clean"] for item in items])):
        p = np.exp(row)
        right = p[[ids[a] for a in as_list(item["answer"])]].sum()
        wrong = p[[ids[a] for a in as_list(item["wrong_answer"])]].sum()
        top = int(np.argmax(p))
        best += top in {ids[a] for a in as_list(item["answer"])}
        better += right > wrong
        mass += right
    n = len(items)
    # Where text may go on in many ways (another adjective, another verb), the right one need only
    # beat the wrong.
    share = better / n if name in OPEN else min(best, better) / n
    rows.append((f"{title} (`{name}`), {n} prompts",
                 f"{best / n:.1%} top of the vocabulary, {better / n:.1%} over the wrong answer, "
                 f"mean probability {mass / n:.3f}", f"at least {least:.0%}"))
    return [(f"{title}: at least {least:.0%}", share >= least)]


def answer_ids(s, names):
    texts = set()
    for name in names:
        for item in s.dataset(f"{name}:{s.prompts}"):
            texts |= {*as_list(item["answer"]), *as_list(item["wrong_answer"])}
    texts = sorted(texts)
    out = {}
    for text, ids in zip(texts, s.tokens(texts)):
        if len(ids) != 1:
            sys.exit(f"report.py: {text!r} is not one token")
        out[text] = ids[0]
    return out


def main():
    parse = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parse.add_argument("program")
    parse.add_argument("model")
    parse.add_argument("-o", "--output")
    parse.add_argument("--quick", action="store_true")
    given = parse.parse_args()
    s = Sonde(given.program, given.model, given.quick)
    bos = s.dataset("repeated_tokens:1")[0]["tokens"][0]
    rows, checks = [], []
    default = s.last_logprobs([PROMPT])[0]
    vocab = len(default)
    ids = answer_ids(s, [t[0] for t in TASKS])
    checks += language(s, bos, vocab, rows)
    objects = s.tokens([" " + w for w in WORDS])
    checks += repeats(s, bos, [w[0] for w in objects if len(w) == 1], rows)
    for name, title, least in TASKS:
        checks += task(s, name, title, least, ids, rows)
    p = math.exp(default[ids[" Tobin"]])
    rows.append(("` Tobin` after the default prompt", f"{p:.1%}", "at least 80%"))
    checks.append(("the default prompt: at least 80%", p >= 0.8))
    write(rows, checks, given.output)
    sys.exit(not all(ok for _, ok in checks))


# Words of several kinds for the repeated spans.
WORDS = """river dog boat road tree door window horse bird table stone field wall book hill lamp wheel
room cart fire song chair gate cloud bell flower story box knife fence goat roof star ship path cup coat
winter forest corner lake old small cold bright quiet green heavy narrow empty warm dark long white
broken red soft deep wooden found saw took left kept carried opened watched bought lost cleaned moved
hid painted covered harbour market mill library bakery garden station bridge chapel lantern basket
letter hammer kettle ribbon compass Mara Lena Ilse Wren Odile Tobin Anders Bram Caspar Dov""".split()


def write(rows, checks, path):
    lines = ["# What the embedded model has learned", "",
             "Written by `datasets/tiny/report.py`. Documents and tasks are of seeds that the training "
             "text does not have; Mara and Tobin of the default prompt give each other nothing in it.",
             "",
             "| what | measured | promised |", "|---|---|---|"]
    lines += [f"| {a} | {b} | {c} |" for a, b, c in rows]
    lines += [""] + [f"- {'kept' if ok else 'BROKEN'}: {what}" for what, ok in checks]
    text = "\n".join(lines) + "\n"
    print(text)
    if path:
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)


if __name__ == "__main__":
    main()
