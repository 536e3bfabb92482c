#!/usr/bin/python3
"""The circuits of the embedded model come out on top, found in two ways that share no formula: the heads
that ablation names are those that patching names, for induction and for indirect objects. Also what a
report of several lengths, a table of pairs, alignment and a cancelled run look like.

    check_tiny_circuit.py SONDE"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np

sonde = sys.argv[1]
scratch = tempfile.TemporaryDirectory()
tmp = scratch.name
failed = 0


def check(ok, what):
    global failed
    if not ok:
        failed += 1
        print("FAILED", what)


def run(*args, code=0):
    path = os.path.join(tmp, "r.h5")
    r = subprocess.run([sonde, "run", *args, "-q", "-o", path], capture_output=True, text=True)
    check(r.returncode == code, f"{args}: exit {r.returncode}, not {code}: {r.stderr.strip()}")
    return h5py.File(path) if r.returncode == 0 else r.stderr


def groups(g):
    return [g[k] for k in g if k.startswith("length_")] or [g]


def over_inputs(g, name):
    return np.concatenate([x[name][()] for x in groups(g)])


def top(x, n=2):
    return {tuple(map(int, np.unravel_index(i, x.shape))) for i in np.argsort(-np.abs(x), axis=None)[:n]}


# L3H3 and L3H0 copy what followed before, L1H3 and L1H1 carry the names.
for data, heads in (("induction:60", {(3, 3), (3, 0)}), ("ioi_tiny:60", {(1, 3), (1, 1)})):
    with run("ablate", "--dataset", data) as f:
        g = f["runs/000-ablate"]
        effect = g["effect"][()]
        check(top(effect) == heads, f"{data}: ablation names {top(effect)}, not {heads}")
        check(np.allclose(g["effect_by_input"][()].mean(0), effect, atol=1e-5), "effect is the mean")
    for direction in ("denoise", "noise"):
        with run("patch", "--dataset", data, "--site", "head_z", "--direction", direction) as f:
            x = over_inputs(f["runs/000-patch"], "head_z_normalized").mean(0)
            x = x - (direction == "noise")
            check(top(x) == heads, f"{data}: patching ({direction}) names {top(x)}, not {heads}")

# Every length has a group; means and errors are over its inputs.
with run("patch", "--dataset", "ioi_tiny:30", "--site", "resid_pre,attn_head_all_pos_every") as f:
    gs = groups(f["runs/000-patch"])
    check(len(gs) > 1 and sorted(np.concatenate([g["pair"][()] for g in gs])) == list(range(30)),
          "the groups of lengths hold every pair once")
    for g in gs:
        n = len(g["pair"])
        for b in ("resid_pre", "attn_head_all_pos_every"):
            x = g[b][()].astype(float)
            check(np.allclose(g[b + "_mean"], x.mean(0), atol=1e-5), f"{b}_mean")
            if n > 1:
                check(np.allclose(g[b + "_se"], x.std(0, ddof=1) / np.sqrt(n), atol=1e-5), f"{b}_se")
            k, c = (g[m][()].reshape((n,) + (1,) * (x.ndim - 1)) for m in ("corrupt_metric", "clean_metric"))
            check(np.allclose(g[b + "_normalized"], (x - k) / (c - k), atol=1e-4), f"{b}_normalized")

    # Without an axis of positions the means are over all pairs, whatever their length.
    g = f["runs/000-patch"]
    for b in ("attn_head_all_pos_every", "attn_head_all_pos_every_normalized"):
        x = np.concatenate([k[b][()] for k in gs]).astype(float)
        check(np.allclose(g[b + "_mean"], x.mean(0), atol=1e-5), f"{b}_mean over all lengths")
        check(np.allclose(g[b + "_se"], x.std(0, ddof=1) / np.sqrt(30), atol=1e-5), f"{b}_se over all lengths")
        k, c = (np.concatenate([y[m][()] for y in gs]).astype(float) for m in ("corrupt_metric", "clean_metric"))
        if not b.endswith("_normalized"):
            check(np.allclose(g[b + "_mean_normalized"], (x.mean(0) - k.mean()) / (c.mean() - k.mean()), atol=1e-4),
                  f"{b}_mean_normalized over all lengths")
    check("resid_pre_mean" not in g, "positions of different lengths have no mean in common")
    told = subprocess.run([sonde, "show", f.filename], capture_output=True, text=True).stdout
    drawn = [line.split()[0] for line in told.splitlines() if line.startswith("runs/")]
    check(drawn[0].endswith("/attn_head_all_pos_every_mean"), f"the mean over all pairs comes first: {drawn[:1]}")
    check(not any(name.endswith(("resid_pre", "_se", "pair")) for name in drawn), f"details are not drawn: {drawn}")
    check(told.count("length_N/resid_pre_se") == 1, "but named, once for all lengths")
    check("more lengths are not drawn" in told, "and lengths past the third are counted")

# Unequal lengths are refused with the token where they part, and run when they are aligned.
pair = {"clean": "When Mara and Tobin went to the harbour, Mara gave the lantern to",
        "corrupt": "When Mara and Tobin went to the old harbour, Tobin gave the lantern to",
        "answer": " Tobin", "wrong_answer": " Mara"}
path = os.path.join(tmp, "pairs.jsonl")
with open(path, "w") as f:
    f.write(json.dumps(pair) + "\n")
text = run("patch", "-f", path, code=2)
check("part at token 8" in text and "align" in text and len(text.splitlines()) == 1,
      f"unequal lengths: {text!r}")
with open(path, "w") as f:
    f.write(json.dumps({**pair, "align": [[8, 8, 8, 9]]}) + "\n")
with run("patch", "-f", path, "--site", "resid_pre,head_pattern", "--check", "20") as f:
    g = f["runs/000-patch"]
    x = g["resid_pre"][0]
    check(x.shape[1] == 16 and np.isnan(x[:, 8]).all() and np.isfinite(np.delete(x, 8, 1)).all(),
          "a position without a counterpart is NaN, the others are not")
    check(g["check_error"][()] < 1e-4, "aligned patches equal whole passes")
    check(abs(x[0, 11] - g["clean_metric"][0]) < 0.5 * abs(g["clean_metric"][0] - g["corrupt_metric"][0]),
          "the giver's embedding at its own place restores most of the answer")

# Spans may be empty on one side, must come in order, and cover what is unequal.
for spans, what in (([[8, 8, 8, 9], [2, 3, 2, 3]], "in order"), ([[8, 9, 8, 9]], "equally many"),
                    ([[8, 8, 8, 99]], "outside")):
    with open(path, "w") as f:
        f.write(json.dumps({**pair, "align": spans}) + "\n")
    text = run("patch", "-f", path, code=2)
    check(what in text, f"align {spans}: {text!r}")

# The same pair from a table; a metric that answers are missing for is refused.
table = os.path.join(tmp, "pairs.tsv")
corrupt = pair["clean"].replace("Mara gave", "Tobin gave")
with open(table, "w") as f:
    f.write(f"set\tclean_prompt\tIO\tS\tcorrupted_prompt\n0\t{pair['clean']}\t Tobin\t Mara\t{corrupt}\n")
args = ("--clean", pair["clean"], "--corrupt", corrupt, "--answer", " Tobin", "--wrong", " Mara")
with run("patch", "-f", table) as f:
    x = f["runs/000-patch/resid_pre"][()]
with run("patch", *args) as f:
    check(np.array_equal(x, f["runs/000-patch/resid_pre"][()]), "a table and flags give the same")
text = run("patch", *args[:4], code=2)
check("answer" in text, f"a metric without answers: {text!r}")
for metric in ("kl", "loss"):
    with run("patch", *args[:4], "--metric", metric) as f:
        g = f["runs/000-patch"]
        check(metric == "loss" or abs(g["clean_metric"][0]) < 1e-6, "KL of the clean prompt to itself is 0")
        check(np.isfinite(g["resid_pre"][()]).all(), metric)

# With an edit on, cells are whole passes of the edited model.
with run("patch", *args, "--edit", "L1H3.z=zero") as f:
    y = f["runs/000-patch/resid_pre"][()]
    check(np.isfinite(y).all() and np.abs(y - x).max() > 0.1, "edits are part of every pass")

# An interrupted sweep keeps the layers that are done, the last first.
path = os.path.join(tmp, "stopped.h5")
p = subprocess.Popen([sonde, "run", "patch", "--dataset", "ioi_tiny:1", "--site", "neuron_by_pos", "-q",
                      "-t", "1", "-o", path], stderr=subprocess.DEVNULL)
for _ in range(400):
    time.sleep(0.02)
    if os.path.exists(path + ".part") and os.path.getsize(path + ".part") > 50000:
        break
p.send_signal(signal.SIGINT)
code = p.wait(60)
kept = path if os.path.exists(path) else path + ".part"
if code == 130:
    with h5py.File(kept) as f:
        g = f["runs/000-patch"]
        check(g.attrs["status"] == "cancelled", "an interrupted run says so")
        x = g["neuron_by_pos"][0]
        done = np.isfinite(x).all(axis=(1, 2))
        check(done[-1] and not done[0], f"finished layers stay: {done}")
else:
    check(code == 0, f"the interrupted sweep ended with {code}")

print(f"{failed} comparisons failed" if failed else "all comparisons hold")
sys.exit(failed > 0)
