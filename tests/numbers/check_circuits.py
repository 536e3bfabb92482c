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
tmp = tempfile.mkdtemp()
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


for name, parts in json.load(open(path)).items():
    for part, want in parts.items():
        globals()[part](name, want)

print(f"{failed} comparisons failed" if failed else "all comparisons hold")
sys.exit(failed > 0)
