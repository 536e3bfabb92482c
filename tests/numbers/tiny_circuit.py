#!/usr/bin/python3
"""The circuit of the embedded model comes out on top, whichever way it is looked for.

    tiny_circuit.py SONDE

Ablation is the judge: the heads whose zeroing costs most of the logit difference are those that edges,
path and the exact curve must name. Prints what fails; exit 1 if anything did."""
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np

sonde = sys.argv[1]
scratch = tempfile.TemporaryDirectory()
tmp = scratch.name
data = ["--dataset", "ioi_tiny:12", "--seed", "3"]
failed = 0


def run(*args):
    out = os.path.join(tmp, "r.h5")
    subprocess.run([sonde, "run", *args, "-q", "-o", out], check=True)
    return next(iter(h5py.File(out)["runs"].values()))


def check(ok, what):
    global failed
    if not ok:
        failed += 1
        print("FAILED", what)


def labels(d, axis):
    return [x.decode() if isinstance(x, bytes) else x for x in d.dims[axis][0][()]]


e = run("edges", *data, "--each", "--sizes", "0,40,761")
clean, corrupt = np.mean(e["clean_metric"]), np.mean(e["corrupt_metric"])
cost = {}
for l in range(5):
    for h in range(4):
        edit = run("edges", *data, "--no-curve", "--method", "eap", "--edit", f"L{l}H{h}.z=zero")
        cost[f"a{l}.h{h}"] = clean - np.mean(edit["clean_metric"])
best = sorted(cost, key=cost.get)[::-1][:2]

node = dict(zip(labels(e["node_score"], 0), e["node_score"][()]))
heads = sorted((x for x in node if x[0] == "a"), key=node.get)[::-1]
check(set(best) <= set(heads[:4]), f"edges: {best} by ablation, {heads[:4]} by score")

p = run("path", *data)
effect = dict(zip(labels(p["effect"], 0), p["effect"][:, 0]))
movers = sorted((x for x in effect if x[0] == "a"), key=effect.get)[::-1]
check(set(best) <= set(movers[:4]), f"path: {best} by ablation, {movers[:4]} to the logits")

f = e["faithfulness"][()]
check(abs(f[0]) < 1e-4 and abs(f[-1] - 1) < 1e-4, f"faithfulness from {f[0]} to {f[-1]}")
check(f[1] > 0.8, f"40 of 761 edges keep {f[1]:.2f} of the metric")
check(e["completeness"][1] < 0.3, f"without them {e['completeness'][1]:.2f} is left")

r = run("heads", "-p", "Mara")
score = dict(zip(labels(r["repeated_score"], 0), r["repeated_score"][()]))
check(score["induction"].max() > 3 * np.median(score["induction"]), "heads: no head stands out at induction")
print(f"{failed} failed; by ablation {best}, by edges {heads[:4]}, by path {movers[:4]}, f(40) = {f[1]:.2f}")
sys.exit(failed > 0)
