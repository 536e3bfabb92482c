#!/usr/bin/python3
"""Compares the reports of a sonde binary with goldens/analyses.json (make_analysis_goldens.py).

    check_analyses.py SONDE MODELS GOLDENS.json

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
failed = 0


def close(name, what, got, want, tol, relative=False):
    """Absolute, or relative to the reference's own scale."""
    global failed
    got, want = np.asarray(got, np.float64).ravel(), np.asarray(want, np.float64).ravel()
    if got.shape != want.shape:
        failed += 1
        print(f"FAILED {name}: {what} has {got.size} values, {want.size} expected")
        return
    diff = np.abs(got - want) / (np.abs(want).max() if relative else 1)
    if not (diff.size == 0 or diff.max() <= tol):  # NaN fails
        failed += 1
        at = int(np.nanargmax(diff)) if not np.isnan(diff).all() else 0
        print(f"FAILED {name}: {what} differs by {diff[at]:.2e} at {at}: {got[at]:.8g}, "
              f"reference {want[at]:.8g}, tolerance {tol:g}")


def run(name, ids, *args):
    out = os.path.join(scratch.name, "r.h5")
    subprocess.run([sonde, "run", *args, "-q", "-m", os.path.join(models, name), "--tokens",
                    ",".join(map(str, ids)), "-o", out], check=True)
    f = h5py.File(out)
    return {g.attrs["analysis"]: g for g in f["runs"].values()}


for name, want in json.load(open(path)).items():
    ids, n = want["ids"], len(want["ids"])
    r = run(name, ids, "logits,lens,attention,norms")
    g = r["logits"]["input_0"]
    close(name, "logits", g["logits"], want["logits"], 5e-5)
    close(name, "logprob_next", g["logprob_next"][:-1], want["logprob_next"], 5e-5)
    close(name, "loss", g["loss"][()], want["loss"], 5e-5)
    g = r["lens"]["input_0"]
    close(name, "lens target_logprob", g["target_logprob"][:, :-1], want["lens_target"], 1e-4)
    close(name, "lens target_rank", g["target_rank"][:, :-1], want["lens_rank"], 0)
    close(name, "lens entropy", g["entropy"], want["lens_entropy"], 1e-4)
    close(name, "lens kl_to_final", g["kl_to_final"], want["lens_kl"], 1e-4)
    close(name, "lens top_token", g["top_token"][:, :, 0], want["lens_top"], 0)
    close(name, "pattern", r["attention"]["input_0/pattern"], want["pattern"], 5e-5)
    close(name, "resid_norm", r["norms"]["input_0/resid_norm"], want["norms"], 5e-5, True)
    dla = want["dla"]
    for kind, args in (("one", []), ("diff", ["--versus", f"#{dla['worst']}"])):
        w = dla[kind]
        r = run(name, ids, "dla", "--target", f"#{dla['best']}", *args)["dla"]["input_0"]
        close(name, f"dla {kind}", r["contribution"], w["contribution"], 1e-4)
        ledger = r["ledger"][()]
        close(name, f"dla {kind} b_U", ledger[1] - ledger[0], w["b_u"], 1e-4)
        close(name, f"dla {kind} true", ledger[2], w["true"], 1e-4)
        close(name, f"dla {kind} error", ledger[3], 0, 1e-5)
        neurons = run(name, ids, "dla", "--target", f"#{dla['best']}", *args, "--neurons", "0",
                      "--weights", "raw")["dla"]["input_0"]["ledger"]
        close(name, f"dla {kind} by neuron, raw view: error", neurons[3], 0, 1e-5)

print(f"{failed} comparisons failed" if failed else "all comparisons hold")
sys.exit(failed > 0)
