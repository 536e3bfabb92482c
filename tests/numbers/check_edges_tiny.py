#!/usr/bin/python3
"""Edges of the embedded model: exact effects of single edges are those of path patching with still MLPs, the
agreement is NumPy's, an edit that replaces a query leaves its edges without a score, a graph goes out and comes
in again, changes are normalised alike in both directions, a cancelled run leaves its means, and many pairs take the
memory of a few.

    check_edges_tiny.py SONDE"""
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
sanitized = b"__asan_init" in open(sonde, "rb").read()
scratch = tempfile.TemporaryDirectory()
tmp = scratch.name
failed = 0


def check(ok, what):
    global failed
    if not ok:
        failed += 1
        print("FAILED", what)


def run(name, *args):
    path = os.path.join(tmp, "r.h5")
    subprocess.run([sonde, "run", name, *args, "-q", "-o", path], check=True)
    f = h5py.File(path)
    return {k: v[()] for k, v in f[f"runs/000-{name}"].items() if isinstance(v, h5py.Dataset)}, \
        {k: [x.decode() if isinstance(x, bytes) else x for x in f[f"runs/000-{name}/axes/{k}"][()]] for k in f[f"runs/000-{name}/axes"]}


def ranks(x):
    order = np.argsort(x, kind="stable")
    out = np.empty(len(x))
    out[order] = np.arange(len(x))
    return out


# Cutting one edge is path patching with MLPs that stand still.
K = 12
for data, metric in (("ioi_tiny:5", "logit_diff"), ("induction:4", "kl")):
    common = ("--dataset", data, "--metric", metric)
    g, _ = run("edges", *common, "--method", "eap_ig_inputs", "--no-curve", "--check", str(K))
    rows = [[x.decode() if isinstance(x, bytes) else x for x in r] for r in g["checked"]]
    check(len(rows) == 2 * K and sum(r[3] == "largest" for r in rows) == K, "K largest, K random")
    p, axes = run("path", *common, "--freeze-mlps", "--direction", "noise", "--receivers",
                  ",".join(sorted({r[1] for r in rows})))
    sign = 1 if metric == "kl" else -1
    for source, target, _, _, score, exact, _ in rows:
        want = sign * p["effect"][axes["sender"].index(source), axes["receiver"].index(target)]
        scale = np.abs(g["clean_metric"] - g["corrupt_metric"]).mean()
        check(abs(exact - want) < 1e-4 * scale, f"{data} {source}->{target}: {exact}, path patching {want}")
    score, exact = (np.array([r[i] for r in rows]) for i in (4, 5))
    for row, part in zip(g["agreement"], (slice(0, 2 * K), slice(0, K), slice(K, 2 * K))):
        x, y = score[part], exact[part]
        check(abs(row["pearson"] - np.corrcoef(x, y)[0, 1]) < 1e-6, f"pearson of {row['edges']}")
        check(abs(row["spearman"] - np.corrcoef(ranks(x), ranks(y))[0, 1]) < 1e-6, f"spearman of {row['edges']}")
        check(abs(row["mean_abs_error"] - np.abs(x - y).mean()) < 1e-6, f"mean error of {row['edges']}")
    check(np.array_equal(np.argsort(-np.abs(score[:K]), kind="stable"), np.arange(K)), "largest first")

# A query that an edit replaces reads nothing.
g, axes = run("edges", "--dataset", "ioi_tiny:3", "--no-curve", "--edit", "L1H3.q=zero", "--method", "eap")
column = g["score"][:, axes["target"].index("a1.h3<q>")]
check(np.isfinite(column).any() and not np.nan_to_num(column).any(), "edges into an edited query score 0")
check(np.nan_to_num(g["score"][:, axes["target"].index("a1.h3<v>")]).any(), "edges into its values do not")

# Out as the library's JSON and in again: the same circuit, the same numbers.
graph = os.path.join(tmp, "g.json")
g, _ = run("edges", "--dataset", "ioi_tiny:4", "--graph-out", graph)
doc = json.load(open(graph))
check(set(doc) == {"cfg", "nodes", "edges"} and doc["cfg"]["n_heads"] == 4, "the library's keys")
h, _ = run("edges", "--dataset", "ioi_tiny:4", "--graph-in", graph)
check(np.allclose(g["circuit"], h["circuit"], atol=1e-4), "a graph read again is the same circuit")

# A change is normalised by clean - corrupt whatever the direction.
for direction in ("denoise", "noise"):
    p, _ = run("path", "--dataset", "ioi_tiny:6", "--direction", direction)
    span = p["clean_metric"].mean() - p["corrupt_metric"].mean()
    want = p["effect_by_input"].mean(axis=0) / span
    check(np.allclose(p["effect_normalized"], want, rtol=1e-4, atol=1e-5), f"path normalised, {direction}")

# A cancelled run leaves the means over what it has done.
for name, every, mean in (("path", "effect_by_input", "effect"), ("edges", "score_by_input", "score")):
    path = os.path.join(tmp, name + ".h5")
    r = subprocess.Popen([sonde, "run", name, "--dataset", "ioi_tiny:400", "-q", "-o", path,
                          *(["--each"] if name == "edges" else [])], stderr=subprocess.DEVNULL)
    while not os.path.exists(path + ".part") and r.poll() is None:
        time.sleep(0.02)
    time.sleep(0.7)
    r.send_signal(signal.SIGINT)
    check(r.wait() == 130, f"{name}: interrupted")
    with h5py.File(path + ".part") as f:
        g = f[f"runs/000-{name}"]
        status, by_input = g.attrs["status"], g[every][()]
        done = by_input[np.isfinite(by_input).any(axis=(1, 2))]
        check(status in ("cancelled", b"cancelled"), f"{name}: status {status}")
        check(0 < len(done) <= 400 and np.allclose(g[mean][()], done.mean(axis=0), atol=1e-4, equal_nan=True),
              f"{name}: the mean of {len(done)} pairs")

# The peak does not depend on the number of pairs, only on the longest.
text = "When {0} and {1} went to the harbour, {2} gave the lantern to"
pair = {k: {"clean": text.format("Mara", "Tobin", a), "corrupt": text.format("Mara", "Tobin", b),
            "answer": " " + b, "wrong_answer": " " + a}
        for k, (a, b) in enumerate((("Mara", "Tobin"), ("Tobin", "Mara")))}
files = {}
for n in (10, 100, 400):
    files[n] = os.path.join(tmp, f"{n}.jsonl")
    with open(files[n], "w") as f:
        f.writelines(json.dumps(pair[i % 2]) + "\n" for i in range(n))
for many, *args in ((400, "edges", "--no-curve"), (400, "edges", "--no-curve", "--method", "eap"),
                    (100, "edges", "--no-curve", "--method", "eap_ig_activations", "--steps", "2"),
                    (400, "edges", "--no-curve", "--method", "clean_corrupted"),
                    (100, "edges", "--no-curve", "--check", "5"), (100, "edges", "--sizes", "20,100"),
                    (400, "path")):
    peak = []
    for n in (10, many):
        r = subprocess.Popen([sonde, "run", *args, "-q", "-f", files[n], "-o", os.path.join(tmp, "m.h5")])
        _, status, usage = os.wait4(r.pid, 0)
        r.returncode = os.waitstatus_to_exitcode(status)
        check(r.returncode == 0, f"{args} on {n} pairs")
        peak.append(usage.ru_maxrss)
    if not sanitized:  # it keeps what is freed
        check(peak[1] <= 1.05 * peak[0], f"{' '.join(args)}: {peak[0]} kB for 10 pairs, {peak[1]} kB for {many}")

print(f"{failed} failed")
sys.exit(failed > 0)
