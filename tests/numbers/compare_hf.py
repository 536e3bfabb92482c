#!/usr/bin/env python3
"""Compares sonde with transformers (eager, fp32 and fp64) on any model folder, site by site.

    compare_hf.py SONDE FOLDER [--tokens 1,2,3] [--length 24] [--no-gradients]

Prints, for logits, every site and every parameter's gradient, the worst difference: logits absolute,
sites relative to their own scale (max |difference| / max |reference|), gradients as the ratio of L2
norms. Needs torch and transformers, in an environment of your own; the suite has small goldens made
the same way (make_goldens.py). Exit 1 if a limit of docs/numbers.md does not hold."""
import argparse
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np
import torch
import transformers

from make_analysis_goldens import load

ap = argparse.ArgumentParser()
ap.add_argument("sonde")
ap.add_argument("folder")
ap.add_argument("--tokens", default="")
ap.add_argument("--length", type=int, default=24)
ap.add_argument("--no-gradients", action="store_true")
opt = ap.parse_args()
scratch = tempfile.TemporaryDirectory()
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))

hf = load(opt.folder)
c = hf.config
L, H, C = c.n_layer, c.n_head, c.n_embd
n = min(opt.length, c.n_positions)
ids = [int(t) for t in opt.tokens.split(",")] if opt.tokens else \
    [(i * 7919 + 13) % c.vocab_size for i in range(n)]
n = len(ids)
bad = 0


def line(what, value, limit):
    global bad
    bad += not value <= limit
    print(f"{what:44} {value:9.2e}  limit {limit:g}{'' if value <= limit else '  ABOVE'}")


def capture(model):
    """Every site under TransformerLens' name, from forward hooks on the modules."""
    sites = {}

    def out(name, shape=None):
        def hook(_m, _a, y):
            y = (y[0] if isinstance(y, tuple) else y)[0]
            sites[name] = y.reshape(shape).detach() if shape else y.detach()
        return hook

    def inp(name, shape=None):
        def hook(_m, a):
            sites[name] = a[0][0].reshape(shape).detach() if shape else a[0][0].detach()
        return hook
    t, handles = model.transformer, []
    handles.append(t.wte.register_forward_hook(out("hook_embed")))
    for i, b in enumerate(t.h):
        p = f"blocks.{i}."
        D = C // H

        def qkv(_m, _a, y, p=p):
            for w, part in zip("qkv", y[0].split(C, -1)):
                sites[p + f"attn.hook_{w}"] = part.reshape(-1, H, D).detach()
        handles += [
            b.register_forward_pre_hook(inp(p + "hook_resid_pre")),
            b.ln_1.register_forward_hook(out(p + "ln1.hook_normalized")),
            b.attn.c_attn.register_forward_hook(qkv),
            b.attn.c_proj.register_forward_pre_hook(inp(p + "attn.hook_z", (-1, H, D))),
            b.attn.register_forward_hook(out(p + "hook_attn_out")),
            b.ln_2.register_forward_pre_hook(inp(p + "hook_resid_mid")),
            b.ln_2.register_forward_hook(out(p + "ln2.hook_normalized")),
            b.mlp.c_fc.register_forward_hook(out(p + "mlp.hook_pre")),
            b.mlp.c_proj.register_forward_pre_hook(inp(p + "mlp.hook_post")),
            b.mlp.register_forward_hook(out(p + "hook_mlp_out")),
            b.register_forward_hook(out(p + "hook_resid_post"))]
    handles.append(t.ln_f.register_forward_hook(out("ln_final.hook_normalized")))
    with torch.no_grad():
        y = model(torch.tensor([ids]), output_attentions=True, use_cache=False)
    for h in handles:
        h.remove()
    for i, a in enumerate(y.attentions):
        sites[f"blocks.{i}.attn.hook_pattern"] = a[0]
    return sites, y.logits[0]


def run(*args):
    path = os.path.join(scratch.name, "r.h5")
    subprocess.run([opt.sonde, "run", *args, "-q", "-m", opt.folder, "--tokens",
                    ",".join(map(str, ids)), "-o", path], check=True)
    f = h5py.File(path)
    os.unlink(path)
    return {g.attrs["analysis"]: g for g in f["runs"].values()}


r = run("logits,activations", "--filter", ".")
ours = r["logits"]["input_0/logits"][()].astype(np.float64)
_, hf32 = capture(hf)
hf32 = hf32.numpy().astype(np.float64)
grads = {}
if not opt.no_gradients:
    x = torch.tensor([ids])
    hf.zero_grad()
    hf(x, labels=x, use_cache=False).loss.backward()
    grads = {k.removeprefix("transformer."): p.grad.numpy().astype(np.float64)
             for k, p in hf.named_parameters()}
sites, logits = capture(hf.double())
truth = logits.numpy()
line("logits, to transformers fp32", np.abs(ours - hf32).max(), max(5e-5, 5e-5 * np.abs(hf32).max()))
line("logits, to fp64", np.abs(ours - truth).max(), max(5e-5, 2 * np.abs(hf32 - truth).max()))
print(f"{'(transformers fp32 to fp64)':44} {np.abs(hf32 - truth).max():9.2e}")
kinds = {}
for name, want in sites.items():
    got, want = r["activations"]["input_0"][name][()].astype(np.float64), want.numpy()
    worst = np.abs(got - want).max() / max(np.abs(want).max(), 1e-30)
    kind = name.split(".", 2)[2] if name.startswith("blocks.") else name
    kinds[kind] = max(kinds.get(kind, 0), worst)
for kind, worst in kinds.items():
    line(f"{kind}, worst layer", worst, 5e-5)
if grads:
    g = run("gradients", "--metric", "loss", "--weights-too")["gradients"]
    worst = {}
    for name, want in grads.items():
        if name == "lm_head.weight" and c.tie_word_embeddings:
            continue
        rel = np.linalg.norm(g[name][()] - want) / max(np.linalg.norm(want), 1e-30)
        kind = name.split(".", 2)[2] if name.startswith("h.") else name
        worst[kind] = max(worst.get(kind, 0), rel)
    for kind, rel in worst.items():
        line(f"gradient of {kind}", rel, 1e-4)
print("within every limit" if not bad else f"{bad} above their limit")
sys.exit(bad > 0)
