#!/usr/bin/python3
"""Holds `edges` to the EAP-IG library (goldens/edge_library.json, make_edge_library_goldens.py): every edge's
score, the circuit of the best edges, what it answers, and the graph file.

    check_edge_library.py SONDE MODELS GOLDENS.json

Prints one line a failed comparison; exit 1 if any failed."""
import json
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np

sonde, models, path = sys.argv[1:4]
scratch = tempfile.TemporaryDirectory()
tmp = scratch.name
failed = 0


def check(ok, what):
    global failed
    if not ok:
        failed += 1
        print("FAILED " + what)


def edges(name, pairs, *flags):
    out = os.path.join(tmp, "r.h5")
    subprocess.run([sonde, "run", "edges", "-q", "-m", os.path.join(models, name), "-f", pairs, "-o", out,
                    *flags], check=True)
    with h5py.File(out) as f:
        run, = f["runs"].values()
        return run["circuit_metric_by_input"][:, 0]


for name, want in json.load(open(path)).items():
    pairs, graph = os.path.join(tmp, "pairs.jsonl"), os.path.join(tmp, "graph.json")
    with open(pairs, "w") as f:
        for p in want["pairs"]:
            f.write(json.dumps(p) + "\n")
    for w in want["runs"]:
        what = f"{name}: {w['method']} {w['ablation']}"
        got = edges(name, pairs, "--method", w["method"], "--ablation", w["ablation"], "--steps",
                    str(w["steps"]), "--top", str(w["top"]), "--sizes", str(w["top"]), "--graph-out", graph)
        with open(graph) as f:
            ours = json.load(f)
        check(list(ours) == ["cfg", "nodes", "edges"], f"{what}: the file's parts are {list(ours)}")
        check(list(ours["nodes"]) == want["nodes"], f"{what}: nodes or their order")
        check(list(ours["edges"]) == want["edges"], f"{what}: edges or their order")
        score = np.array([e["score"] for e in ours["edges"].values()])
        diff = np.abs(score - w["score"]) / np.abs(w["score"]).max()
        check(diff.max() <= 5e-6, f"{what}: scores differ by {diff.max():.1e} of their range")
        kept = [k for k, e in ours["edges"].items() if e["in_graph"]]
        check(kept == w["kept"], f"{what}: the circuit has other edges: {set(kept) ^ set(w['kept'])}")
        diff = np.abs(got - w["circuit"]) / np.abs(w["circuit"]).max()
        check(diff.max() <= 1e-5, f"{what}: the circuit's metric differs by {diff.max():.1e}")

print("edges: agree with the EAP-IG library" if not failed else f"{failed} comparisons failed")
sys.exit(failed > 0)
