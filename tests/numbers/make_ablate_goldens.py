#!/usr/bin/env python3
"""Goldens of ablation and causal tracing, by hooks on TransformerLens 2.18 models in fp64.

    make_ablate_goldens.py MODELS OUT.json

OUT.json is committed as goldens/ablate.json and read by check_patch.py. The prompts are those of
make_patch_goldens.py. Run it in an environment with torch, transformers and transformer_lens."""
import json
import os
import sys

import numpy as np
import torch
from make_analysis_goldens import load, rounded
from make_patch_goldens import hooked

VARIANTS = ["plain", "bylayer", "lnfree", "untied"]


def ablations(model, prompts):
    """Change of the mean loss when each head's z, and each MLP, is zeroed or set to its mean by position."""
    out = {}
    names = [f"blocks.{l}.{s}" for l in range(model.cfg.n_layers) for s in ("attn.hook_z", "hook_mlp_out")]
    caches = [model.run_with_cache(torch.tensor([p]))[1] for p in prompts]
    mean = {n: torch.stack([c[n] for c in caches]).mean(0) for n in names}
    for mode in ("zero", "mean"):
        z = torch.zeros(len(prompts), model.cfg.n_layers, model.cfg.n_heads)
        m = torch.zeros(len(prompts), model.cfg.n_layers)
        for i, p in enumerate(prompts):
            x = torch.tensor([p])
            base = model(x, return_type="loss")
            for l in range(model.cfg.n_layers):
                def put(act, hook, h=slice(None)):
                    act = act.clone()
                    act[:, :, h] = 0 if mode == "zero" else mean[hook.name][:, :, h]
                    return act
                for h in range(model.cfg.n_heads):
                    z[i, l, h] = model.run_with_hooks(x, return_type="loss", fwd_hooks=[
                        (f"blocks.{l}.attn.hook_z", lambda a, hook, h=h: put(a, hook, h))]) - base
                m[i, l] = model.run_with_hooks(
                    x, return_type="loss", fwd_hooks=[(f"blocks.{l}.hook_mlp_out", put)]) - base
        out[mode] = {"effect": rounded(z.mean(0)), "effect_mlp_out": rounded(m.mean(0))}
    return out


def tracing(model, clean, begin, end, samples=3, window=2):
    """Indirect effects as Meng et al. measure them, with numpy's legacy normals."""
    L, T, C = model.cfg.n_layers, len(clean), model.cfg.d_model
    rows = model.W_E[torch.tensor(clean[begin:end])]
    sd = 3 * float(rows.std())
    noise = torch.tensor(np.random.RandomState(1).randn(samples, end - begin, C)) * sd
    x = torch.tensor([clean])
    logits, cache = model.run_with_cache(x)
    target = int(logits[0, -1].argmax())
    high = float(logits[0, -1].softmax(-1)[target])

    def noised(act, hook):
        act = act.expand(samples, -1, -1).clone()
        act[:, begin:end] += noise
        return act

    def prob(hooks):
        y = model.run_with_hooks(x.expand(samples, -1), fwd_hooks=[("hook_embed", noised)] + hooks)
        return y[:, -1].softmax(-1)[:, target]
    low = prob([])
    out = torch.zeros(3, L, T)
    for k, site in enumerate(("hook_resid_post", "hook_mlp_out", "hook_attn_out")):
        for l in range(L):
            lo, hi = (l, l + 1) if k == 0 else (max(0, l - window // 2), min(L, l + (window + 1) // 2))
            for t in range(T):
                def put(act, hook):
                    act = act.clone()
                    act[:, t] = cache[hook.name][:, t]
                    return act
                out[k, l, t] = (prob([(f"blocks.{i}.{site}", put) for i in range(lo, hi)]) - low).mean()
    return {"target": target, "sd": sd, "high": high, "low": float(low.mean()),
            "samples": samples, "window": window, "effect": rounded(out)}


def main():
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    out = {}
    for name in VARIANTS:
        model = hooked(load(os.path.join(sys.argv[1], name)))
        V, T = model.cfg.d_vocab, min(model.cfg.n_ctx, 6)
        clean = [(i * 7919 + 13) % V for i in range(T)]
        corrupt = list(clean)
        corrupt[1], corrupt[3] = (clean[1] + 5) % V, (clean[3] + 3) % V
        with torch.no_grad():
            out[name] = {"clean": clean, "corrupt": corrupt,
                         "ablate": ablations(model, [clean, corrupt]),
                         "trace": tracing(model, clean, 1, 4)}
    with open(sys.argv[2], "w") as f:
        json.dump(out, f, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
