#!/usr/bin/env python3
"""Sweeps of activation patching beside TransformerLens, in turns on the same machine.

    patching_peer.py SONDE MODEL [--threads 2] [--runs 3] [--tokens 16]

MODEL is a folder of GPT-2 small's shape (make_models.py --shape gpt2 DIR --no-tokenizer). Two random
prompts that share their first token; each side's time holds the runs of both prompts and the sweep, not the
loading. Prints medians, the ratio, and the arithmetic that sharing leaves as a share of the fp32 peak. Run it
in an environment with torch, transformers and transformer_lens."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "numbers"))
import transformers  # noqa: E402
import transformer_lens as tl  # noqa: E402
from make_analysis_goldens import load  # noqa: E402
from transformer_lens import patching  # noqa: E402
from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights  # noqa: E402

p = argparse.ArgumentParser()
p.add_argument("sonde")
p.add_argument("model")
p.add_argument("--threads", type=int, default=2)
p.add_argument("--runs", type=int, default=3)
o = p.parse_args()
torch.set_num_threads(o.threads)
ROWS = {"patch_resid_16": "resid_pre", "patch_head_z_16": "attn_head_out_all_pos", "attr_16": None}


def hooked():
    hf = load(o.model)
    c = hf.config
    cfg = tl.HookedTransformerConfig(
        n_layers=c.n_layer, d_model=c.n_embd, n_ctx=c.n_positions, n_heads=c.n_head,
        d_head=c.n_embd // c.n_head, d_mlp=4 * c.n_embd, d_vocab=c.vocab_size,
        act_fn=c.activation_function, eps=c.layer_norm_epsilon, normalization_type="LN")
    model = tl.HookedTransformer(cfg)
    model.load_state_dict(convert_gpt2_weights(hf, cfg), strict=False)
    return model


def metric(logits):
    return logits[0, -1, 1] - logits[0, -1, 2]


def wanted(name):
    return not any(x in name for x in ("result", "_input", "attn_in", "mlp_in"))


def attribution(model, clean, corrupt):
    """Two forward passes and one backward, every site cached, as the attribution notebook does it."""
    with torch.no_grad():
        _, cache = model.run_with_cache(clean)
    kept, grads = {}, {}
    model.reset_hooks()
    model.add_hook(wanted, lambda act, hook: kept.__setitem__(hook.name, act.detach()), "fwd")
    model.add_hook(wanted, lambda g, hook: grads.__setitem__(hook.name, g.detach()), "bwd")
    metric(model(corrupt)).backward()
    model.reset_hooks()
    return {n: (grads[n] * (cache[n] - kept[n])).sum() for n in grads if grads[n].shape == cache[n].shape}


def peer(name, model, clean, corrupt):
    t0 = time.perf_counter()
    if name == "attr_16":
        attribution(model, clean, corrupt)
    else:
        with torch.no_grad():
            _, cache = model.run_with_cache(clean)
            getattr(patching, "get_act_patch_" + ROWS[name])(model, corrupt, cache, metric)
    return time.perf_counter() - t0


def ours(name):
    r = subprocess.run([o.sonde, "bench", name, "-m", o.model, "-t", str(o.threads), "--seconds", "0",
                        "--json", "-q"], capture_output=True, text=True, check=True)
    return json.loads(r.stdout)


model = hooked()
torch.manual_seed(0)
clean, corrupt = (torch.randint(0, model.cfg.d_vocab, (1, 16)) for _ in range(2))
corrupt[0, 0] = clean[0, 0]
for name in ROWS:
    theirs, us = [], []
    peer("attr_16", model, clean, corrupt)  # warm
    for _ in range(o.runs if name == "attr_16" else 1):
        r = ours(name)
        us.append(r)
        theirs.append(peer(name, model, clean, corrupt))
        us.append(ours(name))
    median = statistics.median(r["rows"][0]["median_s"] for r in us)
    share = statistics.median(r["rows"][0]["fraction_of_limit"] for r in us)
    them = statistics.median(theirs)
    print(f"{name:16} sonde {median:8.3f} s   TransformerLens {them:8.3f} s   {them / median:5.1f}x   "
          f"{100 * share:.0f} % of the fp32 peak ({us[0]['peak_gflops']:.0f} GFLOP/s)", flush=True)
