#!/usr/bin/python3
"""Compares heads, saliency, edges and path of a sonde binary with goldens/circuits.json
(make_circuit_goldens.py).

    check_circuits.py SONDE MODELS GOLDENS.json

Prints one line a failed comparison, with the worst difference and its index; exit 1 if any failed."""
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


def close(name, what, got, want, tol, relative=False):
    """Absolute, or relative to the reference's own scale; NaN matches NaN."""
    global failed
    got, want = np.asarray(got, np.float64).ravel(), np.asarray(want, np.float64).ravel()
    if got.shape != want.shape:
        failed += 1
        print(f"FAILED {name}: {what} has {got.size} values, {want.size} expected")
        return
    same = np.isnan(got) & np.isnan(want)
    diff = np.where(same, 0, np.abs(got - want) / (np.nanmax(np.abs(want)) if relative else 1))
    if not (diff.size == 0 or diff.max() <= tol):  # NaN fails
        failed += 1
        at = int(np.argmax(np.nan_to_num(diff, nan=np.inf)))
        print(f"FAILED {name}: {what} differs by {diff[at]:.2e} at {at}: {got[at]:.8g}, "
              f"reference {want[at]:.8g}, tolerance {tol:g}")


def run(name, *args):
    out = os.path.join(tmp, "r.h5")
    subprocess.run([sonde, "run", *args, "-q", "-m", os.path.join(models, name), "-o", out],
                   check=True)
    f = h5py.File(out)
    return {g.attrs["analysis"]: g for g in f["runs"].values()}


def flags(options):
    return [x for k, v in options.items() for x in
            (["--" + k.replace("_", "-")] + ([] if v is True else [str(v)]))]


def heads(name, want):
    ids = ["--tokens", ",".join(map(str, want["ids"]))]
    for w in want["detect"]:
        g = run(name, "heads", *ids, *flags(w["options"]))["heads"]
        close(name, f"heads {w['options']}", g["score"][:3], w["score"], 1e-3 if
              w["options"].get("error_measure") else 2e-5)
        close(name, "heads copying", g["score"][3], want["copying"], 1e-4)
    g = run(name, "heads", *ids, "--copying", "tokens", "--composition", "--svd", "1")["heads"]
    close(name, "heads copying by tokens", g["score"][3], want["copying_tokens"], 1e-4)
    if "composition" in want:
        close(name, "heads composition", g["composition"], want["composition"], 1e-5)
    for c in ("ov", "qk"):
        close(name, f"heads {c} singular values", g[f"{c}_singular_value"], want[f"{c}_singular"],
              1e-5, True)
    rows = [r for r in g["direction"][()] if r["circuit"] == b"OV" and r["side"] == b"writes"]
    close(name, "heads first direction", [r["logit"] for r in rows], want["ov_first"]["logit"], 1e-5,
          True)


def saliency(name, want):
    common = ["--tokens", ",".join(map(str, want["ids"])), "--target", f"#{want['answer']}",
              "--versus", f"#{want['wrong']}", "--tolerance", "0"]
    scale = max(np.abs(want["grad_x_input"]).max(), abs(want["metric"]))
    for w in want["paths"]:
        g = run(name, "saliency", *common, "--baseline", w["baseline"], "--rule", w["rule"],
                "--steps", str(w["steps"]))["saliency"]
        what = f"saliency {w['baseline']} {w['rule']}"
        close(name, f"{what}: integrated gradients", g["integrated_gradients"][0], w["value"], 1e-5 * scale)
        close(name, f"{what}: completeness", g["completeness_error"], w["error"], 2e-5 * scale)
        close(name, f"{what}: baseline metric", g["baseline_metric"], w["base"], 1e-5 * scale)
    close(name, "gradient x input", g["grad_x_input"][0], want["grad_x_input"], 1e-5 * scale)
    close(name, "gradient norm", g["grad_norm"][0], want["grad_norm"], 1e-5, True)
    close(name, "saliency metric", g["metric"], want["metric"], 1e-5 * scale)


def names_of(L, H):
    writers = ["input"] + [x for l in range(L) for x in [f"a{l}.h{h}" for h in range(H)] + [f"m{l}"]]
    readers = [x for l in range(L) for x in
               [f"a{l}.h{h}<{p}>" for p in "qkv" for h in range(H)] + [f"m{l}"]] + ["logits"]
    return writers, readers


def parents(writers, readers):
    """How many writers each reader may read."""
    return [len(writers) if r == "logits" else
            writers.index(r) if r[0] == "m" else writers.index(r.split(".")[0] + ".h0") for r in readers]


def order(edge, writers, readers, heads):
    """Where the library puts it: layer, attention before the MLP, writer, head, q k v."""
    u, r = edge.split("->")
    layer, inside = divmod(readers[r], 3 * heads + 1)
    part, head = divmod(inside, heads)
    return (layer, inside == 3 * heads, writers.index(u), head, part)


def edges(name, want):
    pairs = os.path.join(tmp, "pairs.jsonl")
    with open(pairs, "w") as f:
        f.writelines(json.dumps(p) + "\n" for p in want["pairs"])
    cfg = json.load(open(os.path.join(models, name, "config.json")))
    writers, readers = names_of(cfg["n_layer"], cfg["n_head"])
    for w in want["runs"]:
        flat = ["--method", w["method"], "--metric", w["metric"], "--ablation", w["ablation"],
                "--steps", str(w["steps"])]
        g = run(name, "edges", "-f", pairs, *flat, "--no-curve", "--each")["edges"]
        scale = max(np.nanmax(np.abs(w["score"])), np.ptp(np.r_[g["clean_metric"], g["corrupt_metric"]]))
        what = f"edges {' '.join(flat)}"
        close(name, what, g["score"], w["score"], 2e-5 * scale)
        close(name, f"{what}: mean of pairs", np.mean(g["score_by_input"][()].astype(float), 0),
              w["score"], 2e-5 * scale)
        # A node's worth is the sum over its edges; the table has the edges of the matrix, best first.
        close(name, f"{what}: nodes", np.nansum(np.reshape(w["score"], (len(writers), -1)), 1),
              g["node_score"], 1e-4 * scale)
        rows = g["edge"][()]
        m = g["score"][()]
        at = [m[writers.index(r["source"].decode()), readers.index(r["target"].decode())] for r in rows]
        close(name, f"{what}: table", [r["score"] for r in rows], at, 0)
        close(name, f"{what}: order", np.abs(at), np.sort(np.abs(at))[::-1], 0)
        close(name, f"{what}: rows", [len(rows)], [sum(parents(writers, readers))], 0)
    g = run(name, "edges", "-f", pairs, "--sizes", "0,3,1000000")["edges"]
    scale = np.ptp(np.r_[g["clean_metric"], g["corrupt_metric"]])
    close(name, "all edges are the model", g["circuit_metric_by_input"][:, -1], g["clean_metric"],
          1e-5 * scale)
    close(name, "no edge is the corrupt run", g["circuit_metric_by_input"][:, 0], g["corrupt_metric"],
          1e-5 * scale)
    close(name, "without no edge", g["complement_metric_by_input"][:, 0], g["clean_metric"], 1e-5 * scale)
    close(name, "faithfulness from 0 to 1", g["faithfulness"][[0, -1]], [0, 1], 1e-4)
    graph = os.path.join(tmp, "graph.json")
    for w in want["circuits"]:
        kept, n = set(w["kept"]), parents(writers, readers)
        edge = {f"{writers[u]}->{r}": {"score": u + 1.5, "in_graph": u * len(readers) + v in kept}
                for v, r in enumerate(readers) for u in range(n[v])}
        at = {r: i for i, r in enumerate(readers)}
        edge = dict(sorted(edge.items(), key=lambda x: order(x[0], writers, at, cfg["n_head"])))
        edge[next(iter(edge))]["score"] = float("nan")
        doc = {"cfg": {"n_layers": cfg["n_layer"], "n_heads": cfg["n_head"], "parallel_attn_mlp": False,
                       "d_model": cfg["n_embd"]},
               "nodes": {x: {"in_graph": True} for x in writers + ["logits"]}, "edges": edge}
        with open(graph, "w") as f:
            json.dump(doc, f)
        g = run(name, "edges", "-f", pairs, "--ablation", w["ablation"], "--graph-in", graph,
                "--graph-out", graph + ".out")["edges"]
        c = dict(zip((x.decode() for x in g["circuit"].dims[0][0]), g["circuit"][()]))
        values = np.mean(w["values"], 0)
        scale = np.ptp(values) + np.abs(values).max()
        what = f"circuit, {w['ablation']}"
        close(name, what, c["metric"], values[0], 2e-5 * scale)
        close(name, f"{what}: complement", c["complement metric"], values[1], 2e-5 * scale)
        close(name, f"{what}: model", c["model metric"], values[2], 2e-5 * scale)
        close(name, f"{what}: edges", c["edges"], len(kept), 0)
        if w["ablation"] == "resample":  # nothing kept is the corrupt run
            close(name, f"{what}: none", c["empty metric"], np.mean(g["corrupt_metric"]), 2e-5 * scale)
        back = json.load(open(graph + ".out"))
        if json.dumps(back) != json.dumps(doc):
            close(name, f"{what}: the graph as it was written", [1], [0], 0)


def paths(name, want):
    pair = os.path.join(tmp, "pair.jsonl")
    with open(pair, "w") as f:
        f.write(json.dumps(want["pair"]) + "\n")
    for w in want["runs"]:
        flat = ["--direction", "noise", "--receivers", "all"] + ["--freeze-mlps"] * w["freeze"]
        g = run(name, "path", "-f", pair, *flat)["path"]
        scale = np.ptp(np.r_[g["clean_metric"], g["corrupt_metric"]])
        close(name, f"path {' '.join(flat)}", g["effect"], w["effect"], 2e-5 * scale)
        close(name, "path: the receiving run", g["clean_metric"][0], want["base"], 1e-5)
        if w["freeze"]:  # linear from the receiver on, and linear LN: what edges score
            e = run(name, "edges", "-f", pair, "--method", "eap", "--no-curve")["edges"]["score"][()]
            # to the logits and MLP outputs it is another linearisation; of one sign with the exact one
            x, y = g["linear"][:, -1], g["effect"][:, -1]
            ok = np.abs(y) > 0.02 * scale
            close(name, "path: linear has the sign of the exact effect", np.sign(x[ok]), np.sign(y[ok]), 0)
            close(name, "path: linear to the logits is minus the score", x, -e[:, -1], 2e-5 * scale)


for name, parts in json.load(open(path)).items():
    for part, want in parts.items():
        globals()[part](name, want)

print(f"{failed} comparisons failed" if failed else "all comparisons hold")
sys.exit(failed > 0)
