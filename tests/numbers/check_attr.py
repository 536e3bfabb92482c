#!/usr/bin/python3
"""Compares attribution patching of a sonde binary with goldens/attr.json (make_attr_goldens.py), and its
agreement table with numpy's own correlations.

    check_attr.py SONDE MODELS GOLDENS.json

Prints one line a failed comparison; exit 1 if any failed."""
import json
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np

sonde, models, path = sys.argv[1:4]
failed = 0
scratch = tempfile.TemporaryDirectory()
tmp = scratch.name
pair, out = os.path.join(tmp, "pair.jsonl"), os.path.join(tmp, "r.h5")


def check(ok, what):
    global failed
    if not ok:
        failed += 1
        print("FAILED", what)


def run(*args):
    subprocess.run([sonde, "run", *args, "-q", "-o", out], check=True)
    return h5py.File(out)


for name, want in json.load(open(path)).items():
    with open(pair, "w") as f:
        f.write(json.dumps({"clean": want["clean"], "corrupt": want["corrupt"],
                            "answer": want["answer"], "wrong_answer": want["wrong"]}) + "\n")
    for form, sweeps in want["forms"].items():
        with run("attr", "-m", os.path.join(models, name), "-f", pair, "--site", ",".join(sweeps),
                 *([form] if form else [])) as f:
            g = f["runs/000-attr"]
            for s, y in sweeps.items():
                ref, got = np.array(y["values"]).reshape(y["shape"]), g[s][0].astype(float)
                scale = max(np.abs(ref).max(), 1e-3)
                check(got.shape == ref.shape and np.abs(got - ref).max() <= 1e-4 * scale,
                      f"{name} {form}: {s} differs by {np.abs(got - ref).max() / scale:.1e} of its range")
            flat = float(g["clean_metric"][0] - g["corrupt_metric"][0])
            s = next(iter(sweeps))
            check(np.allclose(g[s + "_normalized"], g[s][()] / flat, rtol=1e-4, atol=1e-6),
                  f"{name}: {s}_normalized")

# The table of agreement over all cells of the embedded model is what numpy makes of both reports.
args = ("--dataset", "ioi_tiny:2", "--site", "head_z,mlp_out")
with run("patch", *args) as f:
    exact = {g: {k: np.array(v) for k, v in x.items() if isinstance(v, h5py.Dataset)}
             for g, x in f["runs/000-patch"].items() if isinstance(x, h5py.Group) and "pair" in x} or {
        "": {k: np.array(v) for k, v in f["runs/000-patch"].items() if isinstance(v, h5py.Dataset)}}
with run("attr", *args, "--check", "100000") as f:
    g = f["runs/000-attr"]
    errors = {s: np.zeros(5) for s in ("head_z", "mlp_out")}
    for row in g["agreement"][()]:
        site = row["site"].decode()
        for key, blocks in exact.items():
            at = np.flatnonzero(blocks["pair"] == row["pair"])
            if not at.size:
                continue
            i = int(at[0])
            x = (g[key] if key else g)[site][i].astype(float).ravel()
            y = (blocks[site][i] - blocks["corrupt_metric"][i]).astype(float).ravel()
            rank = [np.array([(v < u).sum() + ((v == u).sum() + 1) / 2 for u in v]) for v in (x, y)]
            check(row["cells"] == x.size, f"agreement: {row['cells']} cells of {x.size}")
            check(abs(row["pearson"] - np.corrcoef(x, y)[0, 1]) < 1e-3, "agreement: pearson")
            check(abs(row["spearman"] - np.corrcoef(*rank)[0, 1]) < 5e-2, "agreement: spearman")
            check(abs(row["mean_abs_error"] - np.abs(x - y).mean()) < 1e-4, "agreement: mean_abs_error")
            clean, corrupt = (blocks[m][i] for m in ("clean_metric", "corrupt_metric"))
            errors[site] += np.abs(x - y).reshape(5, -1).sum(1) / abs(clean - corrupt) / 2
    for row in g["error_by_layer"][()]:
        e = errors[row["site"].decode()][row["layer"]]
        check(abs(row["sum_abs_error_normalized"] - e) < 1e-4 * max(e, 1), "error_by_layer")

# A model as its own twin is no better than itself; another shape is refused.
with run("attr", *args, "--twin", "tiny") as f:
    rows = f["runs/000-attr/improvement"][()]
    check(len(rows) == 10 and all(r["error"] > 0 and r["improvement"] == 0 for r in rows), "twins")
text = subprocess.run([sonde, "run", "attr", *args, "--twin", os.path.join(models, "small"), "-q"],
                      capture_output=True, text=True)
check(text.returncode == 2 and "same shape" in text.stderr, f"another shape: {text.stderr}")

print(f"{failed} comparisons failed" if failed else "all comparisons hold")
sys.exit(failed > 0)
