#!/usr/bin/env python3
"""Edge attribution beside TransformerLens with hooks, as the EAP and EAP-IG papers' code does it (clean and
corrupt passes fill the differences of every writer's output, backward hooks multiply them with the gradients at
every reader's input), in turns on the same machine.

    edges_peer.py BENCH_EDGES [--threads 2] [--pairs 10] [--tokens 15] [--first 1] [--steps 5] [--rounds 2]

BENCH_EDGES is build/tests/bench_edges. Random weights of GPT-2 small's shape on both sides, prompts of a pair
differ from --first on; time a pair, without loading. Run it in an environment with torch and transformer_lens."""
import argparse
import re
import statistics
import subprocess
import time

import torch
import transformer_lens as tl

p = argparse.ArgumentParser()
p.add_argument("bench")
for name, value in (("threads", 2), ("pairs", 10), ("tokens", 15), ("first", 1), ("steps", 5), ("rounds", 2)):
    p.add_argument("--" + name, type=int, default=value)
o = p.parse_args()
torch.set_num_threads(o.threads)
torch.manual_seed(0)
cfg = tl.HookedTransformerConfig(
    n_layers=12, d_model=768, n_ctx=1024, n_heads=12, d_head=64, d_mlp=3072, d_vocab=50257, act_fn="gelu_new",
    normalization_type="LN", use_split_qkv_input=True, use_attn_result=True, use_hook_mlp_in=True)
model = tl.HookedTransformer(cfg)
model.setup()
L, H = cfg.n_layers, cfg.n_heads
FWD, BWD = 1 + L * (H + 1), L * (3 * H + 1) + 1


def writers():
    yield "hook_embed", slice(0, 1)
    for l in range(L):
        at = 1 + l * (H + 1)
        yield f"blocks.{l}.attn.hook_result", slice(at, at + H)
        yield f"blocks.{l}.hook_mlp_out", slice(at + H, at + H + 1)


def readers():
    """Name, columns, and how many writers stand before it."""
    for l in range(L):
        at = l * (3 * H + 1)
        for k, x in enumerate("qkv"):
            yield f"blocks.{l}.hook_{x}_input", slice(at + k * H, at + (k + 1) * H), 1 + l * (H + 1)
        yield f"blocks.{l}.hook_mlp_in", slice(at + 3 * H, at + 3 * H + 1), 1 + l * (H + 1) + H
    yield f"blocks.{L - 1}.hook_resid_post", slice(BWD - 1, BWD), FWD


def edges(clean, corrupt, answer, wrong, steps):
    """steps 0: EAP; else EAP-IG over embeddings, k = 0 .. steps - 1."""
    n, T = clean.shape
    diff = torch.zeros(n, T, FWD, cfg.d_model)
    scores = torch.zeros(FWD, BWD)
    embeds = {}

    def add(at, sign):
        def fn(act, hook):
            diff[:, :, at] += sign * (act.detach() if act.ndim == 4 else act.detach()[:, :, None])
        return fn

    def mul(at, parents):
        def fn(grad, hook):
            g = grad if grad.ndim == 4 else grad[:, :, None]
            scores[:parents, at] += torch.einsum("bpud,bpvd->uv", diff[:, :, :parents], g)
        return fn

    def hold(act, hook):
        embeds[len(embeds)] = act.detach()

    with torch.no_grad():
        for tokens, sign in ((corrupt, 1), (clean, -1)):
            model.run_with_hooks(
                tokens, fwd_hooks=[(w, add(at, sign)) for w, at in writers()] + [("hook_embed", hold)])
    back = [(r, mul(at, parents)) for r, at, parents in readers()]
    for k in range(max(steps, 1)):
        def mix(act, hook):
            new = embeds[0] + k / steps * (embeds[1] - embeds[0])
            return new.requires_grad_(True)
        with model.hooks(fwd_hooks=[("hook_embed", mix)] if steps else [], bwd_hooks=back):
            z = model(clean)[:, -1]
            rows = torch.arange(n)
            (-(z[rows, answer] - z[rows, wrong])).sum().backward()
            model.zero_grad(set_to_none=True)
    return scores / max(steps, 1) / n


def ours():
    out = subprocess.run([o.bench, str(o.pairs), str(o.tokens), str(o.first), str(o.steps), "3", str(o.threads)],
                         capture_output=True, text=True, check=True).stdout
    return {k: float(v) for k, v in re.findall(r"^(\S+)\s+([\d.]+) ms a pair", out, re.M)}


clean = torch.randint(0, cfg.d_vocab, (o.pairs, o.tokens))
corrupt = torch.randint(0, cfg.d_vocab, (o.pairs, o.tokens))
corrupt[:, :o.first] = clean[:, :o.first]
answer, wrong = torch.randint(0, cfg.d_vocab, (2, o.pairs))
for q in model.parameters():
    q.requires_grad_(False)  # scores need no gradient of a weight
model.embed.W_E.requires_grad_(True)
edges(clean[:1], corrupt[:1], answer[:1], wrong[:1], 1)
times = {"eap": ([], []), "eap_ig_inputs": ([], [])}
for _ in range(o.rounds):
    us = ours()
    for name, (own, peer) in times.items():
        own.append(us[name])
        t0 = time.perf_counter()
        edges(clean, corrupt, answer, wrong, o.steps if name == "eap_ig_inputs" else 0)
        peer.append(1e3 * (time.perf_counter() - t0) / o.pairs)
for name, (own, peer) in times.items():
    a, b = statistics.median(own), statistics.median(peer)
    print(f"{name:14} sonde {a:7.1f} ms a pair   TransformerLens {b:8.1f} ms   {b / a:5.1f}x", flush=True)
