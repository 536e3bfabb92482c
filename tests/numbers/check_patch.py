#!/usr/bin/python3
"""Compares activation patching of a sonde binary with goldens/patch.json (make_patch_goldens.py), and
ablations and causal tracing with goldens/ablate.json (make_ablate_goldens.py).

    check_patch.py SONDE MODELS PATCH.json ABLATE.json

Differences count against the range of the metric between the two prompts and over the sweep. Prints one
line a failed comparison; exit 1 if any failed."""
import json
import os
import struct
import subprocess
import sys
import tempfile

import h5py
import numpy as np

sonde, models, path, ablations = sys.argv[1:5]
failed = 0
ABOUT = ("clean", "corrupt", "answer", "wrong", "clean_metric", "corrupt_metric")


def close(what, got, want):
    """To 1e-4 of the reference's largest value."""
    global failed
    got, want = np.asarray(got, np.float64).ravel(), np.asarray(want, np.float64).ravel()
    if got.shape != want.shape or not np.abs(got - want).max() <= 1e-4 * np.abs(want).max():
        failed += 1
        print(f"FAILED {name}: {what} is {got[:6]}, reference {want[:6]}")


def tensors(folder):
    with open(os.path.join(folder, "model.safetensors"), "rb") as f:
        head = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    return {k.removeprefix("transformer."):
            np.frombuffer(data[slice(*v["data_offsets"])], "<f4").reshape(v["shape"])
            for k, v in head.items() if v.get("dtype") == "F32"}


def folded_zero(folder, tokens):
    """Zero-ablation of head_z in the folded view is z set to b_V + ln1.beta W_V in the raw one."""
    base = ["-q", "-m", folder, "--tokens", ",".join(map(str, tokens)), "-o", out]
    subprocess.run([sonde, "run", "ablate", "--mode", "zero", "--weights", "folded", *base], check=True)
    with h5py.File(out) as f:
        got, whole = f["runs/000-ablate/effect"][()], float(f["runs/000-ablate/metric"][0])
    w, (L, H) = tensors(folder), got.shape
    want = np.zeros((L, H))
    for l in range(L):
        wv = w[f"h.{l}.attn.c_attn.weight"].astype(np.float64)
        wv = wv[:, 2 * wv.shape[1] // 3:]
        bias = w[f"h.{l}.attn.c_attn.bias"][-wv.shape[1]:] + w[f"h.{l}.ln_1.bias"] @ wv
        for h in range(H):
            npy = os.path.join(tmp, "b.npy")
            np.save(npy, np.split(bias, H)[h].astype(np.float32))
            subprocess.run([sonde, "run", "logits", "--edit", f"L{l}H{h}=set:{npy}", *base], check=True)
            with h5py.File(out) as f:
                want[l, h] = float(f["runs/000-logits/input_0/loss"][()]) - whole
    close("folded zero-ablation", got, want)
    # With every edge cut to zero the positions and the folded b_O are left.
    left = w["wpe.weight"][len(tokens) - 1].astype(np.float64)
    for l in range(L):
        v = w[f"h.{l}.attn.c_attn.weight"].shape[1] // 3
        bias = w[f"h.{l}.attn.c_attn.bias"][-v:] + \
            w[f"h.{l}.ln_1.bias"] @ w[f"h.{l}.attn.c_attn.weight"].astype(np.float64)[:, -v:]
        left += bias @ w[f"h.{l}.attn.c_proj.weight"] + w[f"h.{l}.attn.c_proj.bias"]
    left -= left.mean()
    left = left / np.sqrt((left ** 2).mean() + 1e-5) * w["ln_f.weight"] + w["ln_f.bias"]
    both = [json.dumps(t) for t in (tokens, tokens[::-1])]
    subprocess.run([sonde, "run", "edges", "-q", "-m", folder, "--method", "eap", "--ablation", "zero",
                    "--weights", "folded", "--clean", both[0], "--corrupt", both[1],
                    "--answer", "#1", "--wrong", "#2", "-o", out], check=True)
    with h5py.File(out) as f:
        g = f["runs/000-edges"]
        names = [x.decode() for x in g["axes/what"][()]]
        close("folded empty circuit", [g["circuit"][names.index("empty metric")]],
              [left @ (w["wte.weight"][1] - w["wte.weight"][2])])


for name, want in json.load(open(path)).items():
    sweeps = [s for s in want if s not in ABOUT]
    scratch = tempfile.TemporaryDirectory()
    tmp = scratch.name
    pair, out = os.path.join(tmp, "pair.jsonl"), os.path.join(tmp, "r.h5")
    with open(pair, "w") as f:
        f.write(json.dumps({"clean": want["clean"], "corrupt": want["corrupt"],
                            "answer": want["answer"], "wrong_answer": want["wrong"]}) + "\n")
    g = {}
    for half in (sweeps[:10], sweeps[10:]):
        subprocess.run([sonde, "run", "patch", "-q", "-m", os.path.join(models, name), "-f", pair,
                        "--site", ",".join(half), "-o", out], check=True)
        with h5py.File(out) as f:
            g.update({k: np.asarray(v) for k, v in f["runs/000-patch"].items()
                      if isinstance(v, h5py.Dataset)})
    for s in sweeps + ["clean_metric", "corrupt_metric"]:
        if s in ABOUT:
            got, ref = g[s], np.array([want[s]])
        else:
            # TransformerLens calls head_z attn_head_out_all_pos; both names are taken.
            got = g[s][0]
            ref = np.array(want[s]["values"]).reshape(want[s]["shape"])
        scale = max(abs(want["clean_metric"] - want["corrupt_metric"]), np.ptp(ref), 1e-3)
        if got.shape != ref.shape:
            failed += 1
            print(f"FAILED {name}: {s} has the shape {got.shape}, {ref.shape} expected")
        elif not np.abs(got - ref).max() <= 1e-4 * scale:  # NaN fails
            failed += 1
            at = np.unravel_index(np.nanargmax(np.abs(got - ref)), ref.shape)
            print(f"FAILED {name}: {s} {tuple(map(int, at))} is {got[at]:.8g}, reference "
                  f"{ref[at]:.8g}")

    # The cells of one position alone: the same bits, and nothing else.
    by_pos = ["attn_head_out_by_pos", "head_pattern_dest_src_pos", "resid_pre"]
    for extra in ([], ["--cell-pos", "2"]):
        subprocess.run([sonde, "run", "patch", "-q", "-m", os.path.join(models, name), "-f", pair,
                        "--site", ",".join(by_pos), "-o", out, *extra], check=True)
        with h5py.File(out) as f:
            if not extra:
                whole = {s: f["runs/000-patch"][s][0] for s in by_pos}
                continue
            for s, axis in zip(by_pos, (1, 2, 1)):
                got = f["runs/000-patch"][s][0]
                if not np.array_equal(np.take(got, 2, axis), np.take(whole[s], 2, axis)) or \
                        not np.isnan(np.delete(got, 2, axis)).all():
                    failed += 1
                    print(f"FAILED {name}: {s} at position 2 alone is not that of the whole sweep")

for name, want in json.load(open(ablations)).items():
    pair, out = os.path.join(tmp, "pair.jsonl"), os.path.join(tmp, "r.h5")
    with open(pair, "w") as f:
        f.write(json.dumps({"clean": want["clean"], "corrupt": want["corrupt"]}) + "\n")
    lists = [",".join(map(str, want[k])) for k in ("clean", "corrupt")]
    for mode, ref in want["ablate"].items():
        subprocess.run([sonde, "run", "ablate", "-q", "-m", os.path.join(models, name), "--mode", mode,
                        "--tokens", ";".join(lists), "-o", out], check=True)
        with h5py.File(out) as f:
            for b, values in ref.items():
                close(f"ablate {mode} {b}", f["runs/000-ablate"][b], values)
    if name == "plain":
        folded_zero(os.path.join(models, name), want["clean"])
    ref = want["trace"]
    subprocess.run([sonde, "run", "trace", "-q", "-m", os.path.join(models, name), "-f", pair,
                    "--samples", str(ref["samples"]), "--window", str(ref["window"]), "-o", out],
                   check=True)
    with h5py.File(out) as f:
        g = f["runs/000-trace"]
        close("trace noise_sd", [g.attrs["noise_sd"]], [ref["sd"]])
        close("trace clean_prob", g["input_0/clean_prob"], [ref["high"]])
        close("trace noised_prob", g["input_0/noised_prob"], [ref["low"]])
        close("trace effect", g["input_0/effect"], ref["effect"])

print(f"{failed} comparisons failed" if failed else "all comparisons hold")
sys.exit(failed > 0)
