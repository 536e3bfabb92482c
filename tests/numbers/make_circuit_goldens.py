#!/usr/bin/env python3
"""Goldens of heads, saliency, edges and paths, from TransformerLens 2.18 and torch with hooks.

    make_circuit_goldens.py MODELS OUT.json

MODELS is a folder of make_models.py; OUT.json is committed as goldens/circuits.json and read by
check_circuits.py. All in fp64. Run it in an environment with torch, transformers and
transformer_lens."""
import json
import os
import sys

import numpy as np
import torch
import transformer_lens as tl
from make_analysis_goldens import folded, load, rounded
from make_models import read_safetensors
from transformer_lens.head_detector import detect_head
from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights

VARIANTS = ["plain", "small", "deep", "untied", "prime"]
EDGE_VARIANTS = ["plain", "prime", "untied", "lnfree"]
DETECTORS = ["previous_token_head", "duplicate_token_head", "induction_head"]
OPTIONS = [dict(), dict(exclude_bos=True), dict(exclude_bos=True, exclude_current_token=True),
           dict(error_measure="abs"), dict(error_measure="abs", exclude_current_token=True)]


def repeated(cfg, n=13):
    """Ids in which tokens come again, some at once."""
    n = min(cfg.n_positions - 1, n)
    return [int(v) for v in np.random.RandomState(5).randint(0, min(cfg.vocab_size, 6), n)]


def heads(hf, ids):
    model = folded(hf)
    model.to_tokens = lambda *_: torch.tensor([ids])
    x = torch.tensor([ids])
    out = {"ids": ids, "detect": []}
    for o in OPTIONS:
        _, cache = model.run_with_cache(x, remove_batch_dim=True)
        scores = []
        for d in DETECTORS:
            # With an exclude, detect_head writes into the cached pattern: a fresh one each time.
            _, cache = model.run_with_cache(x, remove_batch_dim=True)
            D = getattr(tl.head_detector, "get_" + d.replace("_head", "_head_detection_pattern"))(x)
            scores.append(detect_head(model, "", D, cache=cache, **o))
        out["detect"].append({"options": o, "score": rounded(torch.stack(scores))})
    L, H, C, D = model.cfg.n_layers, model.cfg.n_heads, model.cfg.d_model, model.cfg.d_head
    OV, QK = model.OV, model.QK
    eig = OV.eigenvalues
    out["copying"] = rounded(eig.sum(-1).real / eig.abs().sum(-1))
    full = model.embed.W_E @ OV @ model.unembed.W_U
    eig = full.eigenvalues
    out["copying_tokens"] = rounded(eig.sum(-1).real / eig.abs().sum(-1))
    if L > 1:
        out["composition"] = rounded(torch.stack(
            [model.all_composition_scores(m) for m in "QKV"]).reshape(3, L * H, L * H))
    out["ov_singular"] = rounded(OV.S)
    out["qk_singular"] = rounded(QK.S)
    v = OV.Vh  # [L, H, C, D], columns are right singular vectors
    first = v[..., 0] @ model.unembed.W_U
    first = first * torch.sign(first.gather(-1, first.abs().argmax(-1, keepdim=True)))
    out["ov_first"] = {"logit": rounded(first.max(-1).values), "token": first.argmax(-1).flatten().tolist()}
    return out


def raw(hf):
    """The same model unprocessed, with per-head inputs and results as hooks."""
    c = hf.config
    cfg = tl.HookedTransformerConfig(
        n_layers=c.n_layer, d_model=c.n_embd, n_ctx=c.n_positions, n_heads=c.n_head,
        d_head=c.n_embd // c.n_head, d_mlp=c.n_inner or 4 * c.n_embd, d_vocab=c.vocab_size,
        act_fn=c.activation_function, eps=c.layer_norm_epsilon, normalization_type="LN",
        use_attn_result=True, use_split_qkv_input=True, use_hook_mlp_in=True, dtype=torch.float64)
    model = tl.HookedTransformer(cfg)
    state = convert_gpt2_weights(hf, cfg)
    if not c.tie_word_embeddings:
        state["unembed.W_U"] = hf.lm_head.weight.T
    model.load_and_process_state_dict(state, fold_ln=False, center_writing_weights=False,
                                      center_unembed=False, fold_value_biases=False)
    return model.double()


def gradient(model, ids, e, a, b, pos=-1):
    """logit(a) - logit(b) and its gradient by the token embeddings e [T, C]."""
    leaf = e.clone().requires_grad_()
    with torch.enable_grad():
        z = model.run_with_hooks(torch.tensor([ids]),
                                 fwd_hooks=[("hook_embed", lambda x, hook: leaf[None])])[0, pos]
        m = z[a] - z[b]
        return float(m.detach()), torch.autograd.grad(m, leaf)[0]


def saliency(hf, ids):
    model = raw(hf)
    a, b, token = 1, 2, 3
    e = model.W_E[torch.tensor(ids)]
    value, g = gradient(model, ids, e, a, b)
    out = {"ids": ids, "answer": a, "wrong": b, "token": token, "metric": value,
           "grad_x_input": rounded((e * g).sum(-1)), "grad_norm": rounded(g.norm(dim=-1)), "paths": []}
    for base, e0 in (("zero", torch.zeros_like(e)), ("mean", model.W_E.mean(0).expand_as(e)),
                     (f"#{token}", model.W_E[token].expand_as(e))):
        m0, _ = gradient(model, ids, e0, a, b)
        for rule, n in (("gauss_legendre", 5), ("trapezoid", 4), ("midpoint", 7), ("left", 3),
                        ("right", 3)):
            if rule == "gauss_legendre":
                t, w = np.polynomial.legendre.leggauss(n)
                t, w = (t + 1) / 2, w / 2
            elif rule == "trapezoid":
                t, w = np.linspace(0, 1, n + 1), np.full(n + 1, 1 / n)
                w[0] = w[-1] = 0.5 / n
            else:
                t = (np.arange(n) + {"midpoint": 0.5, "left": 0, "right": 1}[rule]) / n
                w = np.full(n, 1 / n)
            sum_g = sum(wk * gradient(model, ids, e0 + tk * (e - e0), a, b)[1] for tk, wk in zip(t, w))
            ig = ((e - e0) * sum_g).sum(-1)
            out["paths"].append({"baseline": base, "rule": rule, "steps": n, "value": rounded(ig),
                                 "base": m0, "error": float(ig.sum() - (value - m0))})
    return out


class Graph:
    """GPT-2 in fp64 whose readers have inputs of their own: the formulas of EAP-IG on torch's autograd.
    Works on LN-free checkpoints too: they are LN with an eps of 1e12."""

    def __init__(self, folder):
        self.c = c = json.load(open(os.path.join(folder, "config.json")))
        w = read_safetensors(os.path.join(folder, "model.safetensors"))
        w = {k.replace("transformer.", ""): torch.tensor(v, dtype=torch.float64) for k, v in w.items()}
        self.w, self.L, self.H, self.C = w, c["n_layer"], c["n_head"], c["n_embd"]
        self.D = self.C // self.H
        self.U = w["wte.weight"] if "lm_head.weight" not in w else w["lm_head.weight"]
        self.writers, self.readers = 1 + self.L * (self.H + 1), self.L * (3 * self.H + 1) + 1

    def norm(self, x, name):
        d = x - x.mean(-1, keepdim=True)
        s = (d.pow(2).mean(-1, keepdim=True) + self.c["layer_norm_epsilon"]).sqrt()
        return d / s * self.w[name + ".weight"] + self.w[name + ".bias"]

    def parents(self, v):
        l, r = divmod(v, 3 * self.H + 1)
        if v == self.readers - 1:
            return self.writers
        return 1 + l * (self.H + 1) + (self.H if r == 3 * self.H else 0)

    def embed(self, ids):
        return self.w["wte.weight"][torch.tensor(ids)]

    def run(self, ids, embed=None, feed=None, replace=None):
        """Logits of the last position; outputs of writers [writers, T, C]. feed(v, outputs) is added to
        reader v's input; replace(kind, layer, x) may replace embed, z and mlp_out."""
        w, H, C, D, T = self.w, self.H, self.C, self.D, len(ids)
        replace = replace or (lambda kind, layer, x: x)
        feed = feed or (lambda v, out: 0)
        e = replace("embed", 0, self.embed(ids) if embed is None else embed)
        out = [e]
        x = e + w["wpe.weight"][:T]
        mask = torch.triu(torch.full((T, T), -torch.inf), 1)
        for l in range(self.L):
            p, base = f"h.{l}.", l * (3 * H + 1)
            W, b = w[p + "attn.c_attn.weight"], w[p + "attn.c_attn.bias"]
            qkv = [[self.norm(x + feed(base + part * H + h, out), p + "ln_1")
                    @ W[:, part * C + h * D:part * C + (h + 1) * D]
                    + b[part * C + h * D:part * C + (h + 1) * D] for h in range(H)] for part in range(3)]
            z = torch.cat([torch.softmax(q @ k.T / D ** 0.5 + mask, -1) @ v for q, k, v in zip(*qkv)], -1)
            z = replace("z", l, z)
            for h in range(H):
                out.append(z[:, h * D:(h + 1) * D] @ w[p + "attn.c_proj.weight"][h * D:(h + 1) * D])
            x = x + sum(out[-H:]) + w[p + "attn.c_proj.bias"]
            y = self.norm(x + feed(base + 3 * H, out), p + "ln_2")
            y = y @ w[p + "mlp.c_fc.weight"] + w[p + "mlp.c_fc.bias"]
            y = torch.nn.functional.gelu(y, approximate="tanh")
            m = replace("mlp", l, y @ w[p + "mlp.c_proj.weight"] + w[p + "mlp.c_proj.bias"])
            out.append(m)
            x = x + m
        return self.norm(x + feed(self.readers - 1, out), "ln_f")[-1] @ self.U.T, out

    def gradients(self, ids, metric, embed=None, replace=None):
        """d(-metric)/d(input of each reader) [readers, T, C], and the metric."""
        taps = torch.zeros(self.readers, len(ids), self.C, requires_grad=True)
        with torch.enable_grad():
            z, _ = self.run(ids, embed, lambda v, out: taps[v], replace)
            m = metric(z)
            g, = torch.autograd.grad(-m, taps)
        return g, float(m.detach())

    def wired(self, ids, other, cut):
        """The run in which reader v gets other_u - u for every cut edge u -> v."""
        def feed(v, out):
            return sum((other[u] - out[u] for u in range(min(len(out), self.parents(v))) if cut[u, v]), 0)
        return self.run(ids, feed=feed)[0]


def edge_scores(g, clean, corrupt, metric, method, ablation, m, mean=None):
    """mean: embed [T, C], z and mlp_out a layer."""
    _, a = g.run(clean)
    sites = {}
    def grab(kind, layer, x):
        sites[kind, layer] = x
        return x
    g.run(clean, replace=grab)
    own = dict(sites)
    if ablation == "resample":
        _, b = g.run(corrupt, replace=grab)
        other = dict(sites)
    else:
        other = {k: mean[k] if mean else torch.zeros_like(v) for k, v in own.items()}
        b = [other["embed", 0]]
        for l in range(g.L):
            W = g.w[f"h.{l}.attn.c_proj.weight"]
            b += [other["z", l][:, h * g.D:(h + 1) * g.D] @ W[h * g.D:(h + 1) * g.D] for h in range(g.H)]
            b.append(other["mlp", l])
    delta = torch.stack(b) - torch.stack(a)
    if method == "eap":
        grad = g.gradients(clean, metric)[0]
    elif method == "clean_corrupted":
        grad = (g.gradients(clean, metric)[0] +
                g.gradients(clean, metric, embed=other["embed", 0])[0]) / 2
    elif method == "eap_ig_inputs":
        grad = sum(g.gradients(clean, metric, embed=other["embed", 0] + k / m *
                               (own["embed", 0] - other["embed", 0]))[0] for k in range(m)) / m
    else:
        grad = 0
        for key in [("embed", 0)] + [(s, l) for l in range(g.L) for s in ("z", "mlp")]:
            for k in range(1, m + 1):
                v = (other[key] + k / m * (own[key] - other[key])).detach()
                grad = grad + g.gradients(clean, metric, replace=lambda kind, l, x:
                                          v if (kind, l) == key else x)[0]
        grad = grad / ((2 * g.L + 1) * m)
    s = torch.einsum("utc,vtc->uv", delta, grad)
    for v in range(g.readers):
        s[g.parents(v):, v] = torch.nan
    return s


def edges(folder, cfg):
    g = Graph(folder)
    rs = np.random.RandomState(11)
    T, V = min(cfg["n_positions"], 9), cfg["vocab_size"]
    pairs = []
    for k in range(3):
        clean = [int(v) for v in rs.randint(0, V, T)]
        corrupt = [v if i < 2 + k else int(rs.randint(0, V)) for i, v in enumerate(clean)]
        a, b = (int(v) for v in rs.choice(V, 2, replace=False))
        pairs.append({"clean": clean, "corrupt": corrupt, "answer": f"#{a}", "wrong_answer": f"#{b}"})
    answers = [(int(p["answer"][1:]), int(p["wrong_answer"][1:])) for p in pairs]
    kinds = {"logit_diff": lambda z, a, b: z[a] - z[b],
             "logprob": lambda z, a, b: torch.log_softmax(z, -1)[a],
             "prob_diff": lambda z, a, b: torch.softmax(z, -1)[a] - torch.softmax(z, -1)[b]}
    mean = {}
    def grab(kind, layer, x):
        mean[kind, layer] = mean.get((kind, layer), 0) + x / len(pairs)
        return x
    for p in pairs:
        g.run(p["corrupt"], replace=grab)
    out = {"pairs": pairs, "runs": [], "circuits": []}
    for method, metric, ablation, m in (
            ("eap", "logit_diff", "resample", 1), ("eap", "prob_diff", "zero", 1),
            ("eap", "logit_diff", "mean", 1), ("eap_ig_inputs", "logit_diff", "resample", 3),
            ("eap_ig_inputs", "logprob", "mean", 2), ("eap_ig_activations", "logit_diff", "resample", 2),
            ("clean_corrupted", "logprob", "resample", 1)):
        s = [edge_scores(g, p["clean"], p["corrupt"], lambda z: kinds[metric](z, a, b), method, ablation,
                         m, mean if ablation == "mean" else None)
             for p, (a, b) in zip(pairs, answers)]
        out["runs"].append({"method": method, "metric": metric, "ablation": ablation, "steps": m,
                            "score": rounded(torch.stack(s).mean(0))})
    # A circuit by chance, exactly.
    for ablation in ("resample", "zero", "mean"):
        kept = (rs.rand(g.writers, g.readers) < 0.6)
        kept &= np.array([[u < g.parents(v) for v in range(g.readers)] for u in range(g.writers)])
        values = []
        for p, (a, b) in zip(pairs, answers):
            _, o = g.run(p["corrupt"])
            if ablation != "resample":
                sites = {k: v if ablation == "mean" else torch.zeros_like(v) for k, v in mean.items()}
                o = [sites["embed", 0]]
                for l in range(g.L):
                    W = g.w[f"h.{l}.attn.c_proj.weight"]
                    o += [sites["z", l][:, h * g.D:(h + 1) * g.D] @ W[h * g.D:(h + 1) * g.D]
                          for h in range(g.H)]
                    o.append(sites["mlp", l])
            both = []
            for cut in (~kept, kept):
                z = g.wired(p["clean"], o, cut)
                both.append(float(z[a] - z[b]))
            z, _ = g.run(p["clean"])
            both.append(float(z[a] - z[b]))
            values.append(both)
        out["circuits"].append({"ablation": ablation, "kept": np.flatnonzero(kept.ravel()).tolist(),
                                "values": values})
    return out


def paths(folder, pairs):
    """Every sender on its way to every reader: heads stand still, MLPs are computed again or not."""
    g = Graph(folder)
    to, other = pairs[0]["clean"], pairs[0]["corrupt"]
    a, b = (int(pairs[0][k][1:]) for k in ("answer", "wrong_answer"))
    def metric(z):
        return z[a] - z[b]
    own, theirs = {}, {}
    def grab(into):
        def f(kind, layer, x):
            into[kind, layer] = x
            return x
        return f
    z, base = g.run(to, replace=grab(own))
    g.run(other, replace=grab(theirs))
    out = {"pair": pairs[0], "base": float(metric(z)), "runs": []}
    for freeze in (False, True):
        effect = torch.full((g.writers, g.readers), torch.nan)
        for u in range(g.writers):
            layer, h = divmod(u - 1, g.H + 1)
            def replace(kind, l, x):
                if u == 0 and kind == "embed" or u and h == g.H and (kind, l) == ("mlp", layer):
                    return theirs[kind, l]
                if kind == "z":
                    x = own[kind, l].clone()
                    if u and h < g.H and l == layer:
                        x[:, h * g.D:(h + 1) * g.D] = theirs[kind, l][:, h * g.D:(h + 1) * g.D]
                return own[kind, l] if kind == "mlp" and freeze else x
            _, c = g.run(to, replace=replace)
            for v in range(g.readers):
                if u < g.parents(v):
                    change = sum(c[k] - base[k] for k in range(g.parents(v)))
                    z, _ = g.run(to, feed=lambda r, _: change if r == v else 0)
                    effect[u, v] = metric(z) - out["base"]
        out["runs"].append({"freeze": freeze, "effect": rounded(effect)})
    return out


def main():
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    out = {}
    for name in VARIANTS:
        hf = load(os.path.join(sys.argv[1], name)).double()
        ids = repeated(hf.config)
        out[name] = {"heads": heads(hf, ids), "saliency": saliency(hf, ids)}
    for name in EDGE_VARIANTS:
        folder = os.path.join(sys.argv[1], name)
        cfg = json.load(open(os.path.join(folder, "config.json")))
        out.setdefault(name, {})["edges"] = e = edges(folder, cfg)
        out[name]["paths"] = paths(folder, e["pairs"])
    with open(sys.argv[2], "w") as f:
        json.dump(out, f, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
