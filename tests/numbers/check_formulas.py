#!/usr/bin/env python3
"""Causal tools against their formulas, in fp64 NumPy and on nothing but the weights of a small odd-shaped
model: check_formulas.py SONDE MODELS. Every patched value is a whole forward pass, every gradient a
central difference; no other implementation is asked."""
import json
import os
import struct
import subprocess
import sys
import tempfile

import h5py
import numpy as np

sonde, models = os.path.abspath(sys.argv[1]), sys.argv[2]
SCRATCH = tempfile.TemporaryDirectory()
TMP = SCRATCH.name
OUT = os.path.join(TMP, "x.h5")
failed = 0


def close(what, got, want, bound=1e-4):
    """To a share of the reference's range."""
    global failed
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    far = np.abs(got - want).max() if got.shape == want.shape else np.inf
    scale = np.abs(want).max()
    if not far <= bound * scale:
        failed += 1
        print(f"FAILED {what}: {far:.3g} of {scale:.3g}, shapes {got.shape} {want.shape}")


class Model:
    """GPT-2 as its paper and gelu_new's formula say."""

    def __init__(self, folder):
        with open(os.path.join(folder, "config.json")) as f:
            c = json.load(f)
        self.L, self.H, self.C, self.eps = c["n_layer"], c["n_head"], c["n_embd"], c["layer_norm_epsilon"]
        self.D = self.C // self.H
        with open(os.path.join(folder, "model.safetensors"), "rb") as f:
            head = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
            data = f.read()
        self.w = {k.removeprefix("transformer."):
                  np.frombuffer(data[slice(*v["data_offsets"])], "<f4").reshape(v["shape"]).astype(float)
                  for k, v in head.items() if v.get("dtype") == "F32"}
        self.wte = self.w["wte.weight"]
        self.unembed = self.w.get("lm_head.weight", self.wte)

    def ln(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.eps) * self.w[name + ".weight"] + self.w[
            name + ".bias"]

    def run(self, ids, hooks=None, keep=None, feed=None):
        """Logits [T, V]; hooks {(site, layer): f(x)} replace, keep takes every site [T, ...], feed
        {("q" | "k" | "v", layer, head) | ("mlp", layer) | ("logits",): x} is added to what that reader reads."""
        hooks, feed = hooks or {}, feed or {}
        T = len(ids)

        def at(site, l, x):
            x = hooks[site, l](x) if (site, l) in hooks else x
            if keep is not None:
                keep[site, l] = x
            return x

        x = at("embed", 0, self.wte[ids]) + self.w["wpe.weight"][:T]
        for l in range(self.L):
            p = f"h.{l}."
            x = at("resid_pre", l, x)
            reads = lambda x: np.split(self.ln(x, p + "ln_1") @ self.w[p + "attn.c_attn.weight"]
                                       + self.w[p + "attn.c_attn.bias"], 3, axis=1)
            qkv = [y.reshape(T, self.H, self.D) for y in reads(x)]
            for i, name in enumerate("qkv"):
                for h in range(self.H):
                    if (name, l, h) in feed:
                        fed = reads(x + feed[name, l, h])[i]
                        qkv[i][:, h] = fed[:, h * self.D:(h + 1) * self.D]
            q, k, v = (at(s, l, y) for s, y in zip("qkv", qkv))
            a = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(self.D)
            a[:, np.triu_indices(T, 1)[0], np.triu_indices(T, 1)[1]] = -np.inf
            a = np.exp(a - a.max(-1, keepdims=True))
            a = at("pattern", l, a / a.sum(-1, keepdims=True))
            z = at("z", l, np.einsum("hqk,khd->qhd", a, v))
            o = z.reshape(T, -1) @ self.w[p + "attn.c_proj.weight"] + self.w[p + "attn.c_proj.bias"]
            x = x + at("attn_out", l, o)
            x = at("resid_mid", l, x)
            h = self.ln(x + feed.get(("mlp", l), 0), p + "ln_2")
            h = h @ self.w[p + "mlp.c_fc.weight"] + self.w[p + "mlp.c_fc.bias"]
            h = h / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + .044715 * h ** 3)))
            h = at("neuron", l, h)
            x = x + at("mlp_out", l, h @ self.w[p + "mlp.c_proj.weight"] + self.w[p + "mlp.c_proj.bias"])
            x = at("resid_post", l, x)
        return self.ln(x + feed.get(("logits",), 0), "ln_f") @ self.unembed.T


def run(analysis, *args):
    subprocess.run([sonde, "run", analysis, "-q", "-m", FOLDER, "-o", OUT, *map(str, args)], check=True)
    with h5py.File(OUT) as f:
        g, got = f[f"runs/000-{analysis}"], {}
        g.visititems(lambda n, d: got.update({n: d[()]}) if isinstance(d, h5py.Dataset) else None)
        return got


def write(pairs):
    path = os.path.join(TMP, "pairs.jsonl")
    with open(path, "w") as f:
        f.writelines(json.dumps(p) + "\n" for p in pairs)
    return path


def metrics(z, p):
    s = np.exp(z - z.max())
    s /= s.sum()
    a, b = p["answer"], p["wrong_answer"]
    return {"logit_diff": z[a] - z[b], "prob_diff": s[a] - s[b], "logprob": np.log(s[a]), "prob": s[a]}


def put(values, pos=None, head=None):
    """The hook that puts a slice of other values there."""
    def f(x):
        x = x.copy()
        i = tuple(slice(None) if k is None else k for k in (pos, head))[:x.ndim - 1]
        x[i] = values[i]
        return x
    return f


def patching(m, pairs):
    path = write(pairs)
    L, H, T = m.L, m.H, len(pairs[0]["clean"])
    for metric in ("prob_diff", "logprob"):
        got = run("patch", "-f", path, "--site", "resid_pre,head_z", "--metric", metric)
        for i, p in enumerate(pairs):
            clean = {}
            m.run(p["clean"], keep=clean)
            value = lambda hooks: metrics(m.run(p["corrupt"], hooks)[-1], p)[metric]
            close(f"patch {metric} resid_pre", got["resid_pre"][i], [
                [value({("resid_pre", l): put(clean["resid_pre", l], t)}) for t in range(T)]
                for l in range(L)])
            close(f"patch {metric} head_z", got["head_z"][i], [
                [value({("z", l): put(clean["z", l], None, h)}) for h in range(H)] for l in range(L)])


def unequal(m, pair):
    """Spans say which positions stand for each other, from their ends; a position without one is NaN."""
    got = run("patch", "-f", write([pair]), "--site", "resid_pre")
    clean, T = {}, len(pair["corrupt"])
    m.run(pair["clean"], keep=clean)
    source = {}
    for c0, c1, k0, k1 in pair["align"]:
        source.update(zip(reversed(range(k0, k1)), reversed(range(c0, c1))))
    for l in range(m.L):
        for t in range(T):
            value = got["resid_pre"][0, l, t]
            if t not in source:
                assert np.isnan(value), (l, t, value)
                continue
            moved = np.zeros((T, m.C))
            moved[t] = clean["resid_pre", l][source[t]]
            z = m.run(pair["corrupt"], {("resid_pre", l): put(moved, t)})[-1]
            close(f"unequal L{l} pos {t}", value, metrics(z, pair)["logit_diff"])


def ablation(m, pairs):
    got = run("ablate", "-f", write(pairs), "--mode", "resample", "--site", "head_z,mlp_out")
    want, mlp = [], []
    for p in pairs:
        other = {}
        m.run(p["corrupt"], keep=other)
        whole = metrics(m.run(p["clean"])[-1], p)["logit_diff"]
        value = lambda hooks: metrics(m.run(p["clean"], hooks)[-1], p)["logit_diff"] - whole
        want.append([[value({("z", l): put(other["z", l], None, h)}) for h in range(m.H)]
                     for l in range(m.L)])
        mlp.append([value({("mlp_out", l): put(other["mlp_out", l])}) for l in range(m.L)])
    close("resample heads", got["effect_by_input"], want)
    close("resample mean", got["effect"], np.mean(want, 0))
    close("resample se", got["effect_se"], np.std(want, 0, ddof=1) / np.sqrt(len(want)))
    close("resample mlp", got["effect_mlp_out"], np.mean(mlp, 0))
    # Neurons: zero, and the mean over the clean prompts, position by position.
    clean = [{} for _ in pairs]
    for p, kept in zip(pairs, clean):
        m.run(p["clean"], keep=kept)
    N, T = clean[0]["neuron", 0].shape[1], len(pairs[0]["clean"])
    for mode in ("zero", "mean"):
        got = run("ablate", "-f", write(pairs), "--mode", mode, "--site", "neuron")
        want = np.zeros((m.L, N))
        for l in range(m.L):
            other = np.mean([k["neuron", l] for k in clean], 0) if mode == "mean" else np.zeros((T, N))
            for p in pairs:
                whole = metrics(m.run(p["clean"])[-1], p)["logit_diff"]
                for n in range(N):
                    one = lambda x: np.where(np.arange(N) == n, other, x)
                    z = m.run(p["clean"], {("neuron", l): one})[-1]
                    want[l, n] += (metrics(z, p)["logit_diff"] - whole) / len(pairs)
        close(f"{mode} neurons", got["effect_neuron"], want)
    # KL(whole || ablated) at the last position, with and without pairs.
    log = lambda z: z - z.max() - np.log(np.exp(z - z.max()).sum())
    def divergence(p, hooks):
        a, b = log(m.run(p["clean"])[-1]), log(m.run(p["clean"], hooks)[-1])
        return (np.exp(a) * (a - b)).sum()
    nothing = np.zeros((len(pairs[0]["clean"]), m.H, m.D))
    want = [[[divergence(p, {("z", l): put(nothing, None, h)}) for h in range(m.H)] for l in range(m.L)]
            for p in pairs]
    zero = ("--mode", "zero", "--site", "head_z", "--metric", "kl")
    got = run("ablate", "-f", write(pairs), *zero)
    close("kl heads", got["effect_by_input"], want)
    assert not got["metric"].any(), got["metric"]
    alone = run("ablate", "--tokens", ",".join(map(str, pairs[0]["clean"])), *zero)
    close("kl of a prompt", alone["effect"], want[0])


def resample_unequal(m, pair):
    """The corrupt prompt's values by the alignment; a position without a counterpart keeps its own."""
    got = run("ablate", "-f", write([pair]), "--mode", "resample", "--site", "mlp_out")
    other, own, want = {}, {}, []
    m.run(pair["corrupt"], keep=other)
    whole = metrics(m.run(pair["clean"], keep=own)[-1], pair)["logit_diff"]
    for l in range(m.L):
        x = own["mlp_out", l].copy()
        for c0, c1, k0, k1 in pair["align"]:
            for c, k in zip(reversed(range(c0, c1)), reversed(range(k0, k1))):
                x[c] = other["mlp_out", l][k]
        want.append(metrics(m.run(pair["clean"], {("mlp_out", l): put(x)})[-1], pair)["logit_diff"] - whole)
    close("resample by alignment", got["effect_mlp_out"], want)


def tracing(m, pairs):
    samples, window = 3, 1
    got = run("trace", "-f", write(pairs), "--samples", samples, "--window", window)
    T, L = len(pairs[0]["clean"]), m.L
    spans = []
    for p in pairs:
        differ = [t for t in range(T) if p["clean"][t] != p["corrupt"][t]]
        spans.append((differ[0], differ[-1] + 1))
    rows = np.concatenate([m.wte[p["clean"][a:b]].astype(np.float32).ravel() for p, (a, b) in zip(pairs, spans)])
    sd = 3 * rows.astype(float).std(ddof=1)
    every = []
    for i, (p, (a, b)) in enumerate(zip(pairs, spans)):
        clean = {}
        z = m.run(p["clean"], keep=clean)[-1]
        target = z.argmax()
        prob = lambda z: np.exp(z[target] - z.max()) / np.exp(z - z.max()).sum()
        noise = sd * np.random.RandomState(1).randn(samples, b - a, m.C)
        effect = np.zeros((samples, 3, L, T))
        for s in range(samples):
            def noised(x):
                x = x.copy()
                x[a:b] += noise[s]
                return x
            base = {("embed", 0): noised}
            low = prob(m.run(p["clean"], base)[-1])
            for k, site in enumerate(("resid_post", "mlp_out", "attn_out")):
                for l in range(L):
                    layers = [l] if k == 0 else range(max(0, l - window // 2), min(L, l + (window + 1) // 2))
                    for t in range(T):
                        back = {(site, j): put(clean[site, j], t) for j in layers}
                        effect[s, k, l, t] = prob(m.run(p["clean"], {**base, **back})[-1]) - low
        close(f"trace {i}", got[f"input_{2 * i}/effect"], effect.mean(0))
        every.append(effect.mean(0))
    close("trace mean", got["effect_mean"], np.mean(every, 0))
    close("trace se", got["effect_se"], np.std(every, 0, ddof=1) / np.sqrt(len(every)))


def gradient(m, ids, p, site, l, base, cut=None):
    """d logit_diff / d pattern or another site at `base`, by central differences in fp64."""
    g, step = np.zeros_like(base), 1e-5
    for i in np.ndindex(base.shape):
        two = []
        for sign in (1, -1):
            x = base.copy()
            x[i] += sign * step
            hooks = dict(cut or {})
            hooks[site, l] = lambda _, x=x: x
            two.append(metrics(m.run(ids, hooks)[-1], p)["logit_diff"])
        g[i] = (two[0] - two[1]) / (2 * step)
    return g


def softmax_fix(m, pair):
    """AtP*: a query or key is replaced in the scores exactly, the rest of the way is the gradient by the
    pattern at the receiving run (Kramar et al. 2024)."""
    got = run("attr", "-f", write([pair]), "--site", "head_q,head_k,head_k_by_pos", "--qk-fix")
    ids, T = pair["corrupt"], len(pair["corrupt"])
    clean, here = {}, {}
    m.run(pair["clean"], keep=clean)
    m.run(ids, keep=here)

    def pattern(q, k):
        a = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(m.D)
        a[:, np.triu_indices(T, 1)[0], np.triu_indices(T, 1)[1]] = -np.inf
        a = np.exp(a - a.max(-1, keepdims=True))
        return a / a.sum(-1, keepdims=True)

    q, k, one_key = np.zeros((m.L, m.H)), np.zeros((m.L, m.H)), np.zeros((m.L, T, m.H))
    for l in range(m.L):
        g = gradient(m, ids, pair, "pattern", l, here["pattern", l])
        for h in range(m.H):
            moved = pattern(clean["q", l], here["k", l])[h] - here["pattern", l][h]
            q[l, h] = (moved * g[h]).sum()
            moved = pattern(here["q", l], clean["k", l])[h] - here["pattern", l][h]
            k[l, h] = (moved * g[h]).sum()
            for t in range(T):
                one = here["k", l].copy()
                one[t] = clean["k", l][t]
                moved = pattern(here["q", l], one)[h] - here["pattern", l][h]
                one_key[l, t, h] = (moved * g[h]).sum()
    close("qk-fix q", got["head_q"][0], q, 2e-4)
    close("qk-fix k", got["head_k"][0], k, 2e-4)
    close("qk-fix one key", got["head_k_by_pos"][0], one_key, 2e-4)


def aligned(values, own, pair, to, source):
    """A run's values [T, ...] where the receiving run's positions have counterparts, its own elsewhere."""
    out = own.copy()
    for c0, c1, k0, k1 in pair.get("align", [[0, len(own), 0, len(own)]]):
        ends = {"clean": (c0, c1), "corrupt": (k0, k1)}
        for t, j in zip(reversed(range(*ends[to])), reversed(range(*ends[source]))):
            out[t] = values[j]
    return out


def grad_drop(m, pair, to="corrupt", source="clean"):
    """The mean over layers of the estimate's size with what that layer writes held still (Kramar et al.)."""
    direction = "denoise" if to == "corrupt" else "noise"
    got = run("attr", "-f", write([pair]), "--site", "head_z", "--grad-drop", "--direction", direction)
    ids = pair[to]
    other, here = {}, {}
    m.run(pair[source], keep=other)
    m.run(ids, keep=here)
    want = np.zeros((m.L, m.H))
    for drop in range(m.L):
        still = {(s, drop): (lambda _, x=here[s, drop]: x) for s in ("attn_out", "mlp_out")}
        for l in range(m.L):
            if l == drop:
                continue
            g = gradient(m, ids, pair, "z", l, here["z", l], still)
            change = aligned(other["z", l], here["z", l], pair, to, source) - here["z", l]
            want[l] += np.abs((g * change).sum((0, 2))) / (m.L - 1)
    close(f"grad-drop {direction}", np.abs(got["head_z"][0]), want, 2e-4)


def edges_unequal(m, pair, metric="prob"):
    """EAP: the derivative of -metric of the clean run as one reader gets what one writer would bring with
    the corrupt prompt's values at the positions that have counterparts."""
    got = run("edges", "-f", write([pair]), "--method", "eap", "--metric", metric, "--no-curve")
    other, own = {}, {}
    m.run(pair["corrupt"], keep=other)
    m.run(pair["clean"], keep=own)
    delta = {k: aligned(other[k], own[k], pair, "clean", "corrupt") - own[k]
             for k in own if k[0] in ("embed", "z", "mlp_out")}
    writers = [("input", delta["embed", 0])]
    readers = []
    for l in range(m.L):
        wo = m.w[f"h.{l}.attn.c_proj.weight"]
        readers += [(f"a{l}.h{h}<{s}>", (s, l, h), len(writers)) for s in "qkv" for h in range(m.H)]
        writers += [(f"a{l}.h{h}", delta["z", l][:, h] @ wo[h * m.D:(h + 1) * m.D]) for h in range(m.H)]
        readers.append((f"m{l}", ("mlp", l), len(writers)))
        writers.append((f"m{l}", delta["mlp_out", l]))
    readers.append(("logits", ("logits",), len(writers)))
    rows = {(r["source"].decode(), r["target"].decode()): r["score"] for r in got["edge"]}
    want = {}
    for target, tap, n in readers:
        for name, d in writers[:n]:
            up, down = (metrics(m.run(pair["clean"], feed={tap: step * d})[-1], pair)[metric]
                        for step in (1e-5, -1e-5))
            want[name, target] = -(up - down) / 2e-5
    close("edges of unequal prompts", [rows[k] for k in want], list(want.values()))
    assert len(rows) == len(want)


def saliency(m, pairs):
    """Prompts of different lengths, each with its answers; the path begins at zero embeddings."""
    got = run("saliency", "-f", write(pairs), "--baseline", "zero", "--rule", "midpoint", "--steps", 4,
              "--tolerance", 0)
    for i, p in enumerate(pairs):
        ids, e = p["clean"], m.wte[p["clean"]]
        slope = lambda x: gradient(m, ids, p, "embed", 0, x)
        part = lambda name: got[f"length_{len(ids)}/{name}"][0]
        close(f"gradient x input {i}", part("grad_x_input"), (e * slope(e)).sum(-1))
        close(f"integrated gradients {i}", part("integrated_gradients"),
              (e * sum(slope((k + .5) / 4 * e) for k in range(4)) / 4).sum(-1))


def weights(m):
    got = run("heads", "--tokens", "3,5,7,1,3", "--composition", "--svd", m.D, "--repeats", 0)
    L, H, C, D = m.L, m.H, m.C, m.D
    qk, ov = {}, {}
    centre = np.eye(C) - 1 / C
    for l in range(L):
        p = f"h.{l}."
        fold = centre @ np.diag(m.w[p + "ln_1.weight"])
        wq, wk, wv = (fold @ x for x in np.split(m.w[p + "attn.c_attn.weight"], 3, axis=1))
        wo = m.w[p + "attn.c_proj.weight"] @ centre
        for h in range(H):
            s = slice(h * D, (h + 1) * D)
            qk[l, h], ov[l, h] = wq[:, s] @ wk[:, s].T, wv[:, s] @ wo[s]
    norm = np.linalg.norm
    eig = {i: np.linalg.eigvals(x) for i, x in ov.items()}
    close("copying", got["score"][3], [[eig[l, h].sum().real / np.abs(eig[l, h]).sum() for h in range(H)]
                                       for l in range(L)])
    kinds = (lambda i: qk[i], lambda i: qk[i].T, lambda i: ov[i])
    want = np.zeros((3, L * H, L * H))
    for k, right in enumerate(kinds):
        for a in ov:
            for b in ov:
                if a[0] < b[0]:
                    x, y = ov[a], right(b)
                    want[k, a[0] * H + a[1], b[0] * H + b[1]] = norm(x @ y) / norm(x) / norm(y)
    close("composition", got["composition"].reshape(want.shape), want)
    for name, x in (("ov", ov), ("qk", qk)):
        value = np.array([[np.linalg.svd(x[l, h])[1][:D] for h in range(H)] for l in range(L)])
        close(f"{name} singular values", got[f"{name}_singular_value"], value)


def neuron(m, l=1, n=3):
    """A neuron's weights in both views: LN folded and writers centred, or as they are."""
    win, wout = m.w[f"h.{l}.mlp.c_fc.weight"][:, n], m.w[f"h.{l}.mlp.c_proj.weight"][n]
    fold = win * m.w[f"h.{l}.ln_2.weight"]
    for view, a, b in (("raw", win, wout), ("folded", fold - fold.mean(), wout - wout.mean())):
        got = run("dossier", "--tokens", "3,5,7,1", "--of", f"L{l}N{n}", "--weights", view)
        facts = {r[0].decode(): r[1] for r in next(v for k, v in got.items() if k.endswith("facts"))}
        close(f"{view} reads", facts["norm of its reading weights"], np.linalg.norm(a), 1e-6)
        close(f"{view} writes", facts["norm of its writing weights"], np.linalg.norm(b), 1e-6)
        close(f"{view} cosine", facts["reading against writing"],
              a @ b / np.linalg.norm(a) / np.linalg.norm(b), 1e-5)


FOLDER = os.path.join(models, "plain")
model = Model(FOLDER)
PAIRS = [{"clean": [13, 157, 301, 134, 278], "corrupt": [13, 162, 207, 134, 278], "answer": 7, "wrong_answer": 91},
         {"clean": [20, 3, 88, 190, 240], "corrupt": [20, 14, 88, 190, 240], "answer": 101, "wrong_answer": 5},
         {"clean": [7, 7, 61, 9, 300], "corrupt": [7, 250, 33, 9, 300], "answer": 0, "wrong_answer": 310}]
patching(model, PAIRS[:2])
LONG, SHORT = [13, 157, 301, 134, 278, 44], [13, 162, 134, 278, 44]
unequal(model, {"clean": LONG, "corrupt": SHORT, "answer": 7, "wrong_answer": 91,
                "align": [[0, 1, 0, 1], [1, 3, 1, 2], [3, 6, 2, 5]]})
unequal(model, {"clean": SHORT, "corrupt": LONG, "answer": 7, "wrong_answer": 91,
                "align": [[0, 1, 0, 1], [1, 2, 1, 3], [2, 5, 3, 6]]})
resample_unequal(model, {"clean": LONG, "corrupt": SHORT, "answer": 7, "wrong_answer": 91,
                         "align": [[0, 1, 0, 1], [1, 3, 1, 2], [3, 6, 2, 5]]})
ablation(model, PAIRS)
tracing(model, PAIRS[:2])
softmax_fix(model, PAIRS[0])
grad_drop(model, PAIRS[0])
UNEQUAL = {"clean": LONG, "corrupt": SHORT, "answer": 7, "wrong_answer": 91,
           "align": [[0, 1, 0, 1], [1, 3, 1, 2], [3, 6, 2, 5]]}
grad_drop(model, UNEQUAL, "clean", "corrupt")
edges_unequal(model, UNEQUAL)
saliency(model, [PAIRS[1], UNEQUAL])
weights(model)
neuron(model)
print(f"{failed} comparisons failed" if failed else "all formulas hold")
sys.exit(failed > 0)
