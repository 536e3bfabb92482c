#!/usr/bin/python3
"""A dossier's numbers against the other analyses and against numpy.

    check_dossier.py SONDE

What another analysis reports (attribution, lens, patterns, logits under an edit) has to be the same
number; scores of patterns, norms and cosines are computed here from kept activations. Prints one line a
failed comparison; exit 1 if any failed."""
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np

sonde = sys.argv[1]
TEXT = "When Mara and Tobin went to the harbour, Mara gave the lantern to"
SCRATCH = tempfile.TemporaryDirectory()
TMP = SCRATCH.name
failed = 0


def run(*args):
    out = os.path.join(TMP, "r.h5")
    subprocess.run([sonde, "run", *args, "-q", "-p", TEXT, "-o", out], check=True)
    with h5py.File(out) as f:
        r = f["runs"][list(f["runs"])[0]]
        group = r["input_0"] if "input_0" in r else r
        blocks = {k: v[()] for k, v in group.items() if isinstance(v, h5py.Dataset)}
        for k in list(group):
            if isinstance(group[k], h5py.Group):
                for name, v in group[k].items():
                    blocks[f"{k}/{name}"] = v[()]
        return blocks


def dossier(*args):
    b = run("dossier", *args)
    rows = b["facts"]
    return {r["fact"].decode(): r["value"] for r in rows}, {
        r["fact"].decode(): r["text"].decode() for r in rows}, b


def same(what, got, want, tol=2e-5):
    global failed
    if not np.allclose(got, want, rtol=tol, atol=tol):
        failed += 1
        print(f"FAILED {what}: {got}, expected {want}")


def acts(*names):
    regex = "^(" + "|".join(names) + ")$"
    return {k.split("/")[-1] if "/" in k else k: v for k, v in run("activations", "--filter", regex).items()}


def site(name):
    return next(iter(acts(name.replace(".", r"\.")).values()))


def softmax_logp(row):
    row = row.astype(np.float64)
    m = row.max()
    return row - m - np.log(np.exp(row - m).sum())


base = run("logits")["logits"]
T = base.shape[0]
last = T - 1
target, versus = (int(i) for i in np.argsort(-base[last])[:2])
pair = ("--target", f"#{target}", "--versus", f"#{versus}")
dla = run("dla", *pair)
lens = run("lens", "--target", f"#{target}")
pattern = run("attention")["pattern"]
L, H = pattern.shape[:2]
with h5py.File(os.path.join(TMP, "r.h5")) as f:
    tokens = f["inputs/tokens"][()]
    names = [t.decode() for t in f["inputs/token_str"][()]]


def effects(facts, what, edit):
    after = run("logits", "--edit", edit)["logits"]
    diff = lambda r: float(r[target]) - float(r[versus])
    same(f"{edit} logit", facts[f"{what}: effect on the logit difference"],
         diff(after[last]) - diff(base[last]), 1e-4)
    same(f"{edit} logprob", facts[f"{what}: effect on the log-probability"],
         softmax_logp(after[last])[target] - softmax_logp(base[last])[target], 1e-4)


# Heads.
for l, h in ((0, 0), (2, 1), (L - 1, H - 1)):
    facts, text, b = dossier("--of", f"L{l}H{h}", *pair, "--top", "5")
    a = pattern[l, h].astype(np.float64)
    same(f"L{l}H{h} dla", facts["direct attribution"], dla["head"][l, h], 1e-4)
    dup = np.array([[float(k < q and tokens[k] == tokens[q]) for k in range(T)] for q in range(T)])
    ind = np.zeros((T, T))
    ind[:, 1:] = dup[:, :-1]
    for name, d in (("previous-token score", np.eye(T, k=-1)), ("duplicate-token score", dup),
                    ("induction score", np.tril(ind))):
        same(f"L{l}H{h} {name}", facts[name], (a * d).sum() / a.sum())
    entropy = [-(r[r > 0] * np.log(r[r > 0])).sum() for r in a]
    same("entropy here", facts["entropy of the row, here"], entropy[last])
    same("entropy mean", facts["entropy of the rows, mean"], np.mean(entropy))
    same("bos", facts["mass on position 0, mean"], a[:, 0].mean())
    same("self", facts["mass on itself, mean"], np.diag(a).mean())
    same("keys", b["keys"], np.sort(a[last])[::-1][:5])
    same("row", b["attention"], a[last])
    assert int(facts["source position"]) == a[last].argmax()
    assert text["source token"] == names[a[last].argmax()], text
    assert (np.diff(b["ov_promoted"]) <= 0).all() and (np.diff(b["ov_suppressed"]) >= 0).all()
    # Read over all positions with the row's weights, single values add up to the attribution.
    total = 0
    for j in range(T):
        if a[last, j] < 1e-6:
            continue
        _, _, one = dossier("--of", f"L{l}H{h}", *pair, "--top", "1000", "--source", str(j),
                            "--effect=false") if l == 2 else (0, 0, None)
        if one is None:
            break
        value = dict(zip(one["ov_promoted_id"], one["ov_promoted"]))
        value.update(zip(one["ov_suppressed_id"], one["ov_suppressed"]))
        total += a[last, j] * (value.get(target, np.nan) - value.get(versus, np.nan))
    if l == 2 and np.isfinite(total):
        same("values add up", total, dla["head"][l, h], 1e-3)
    effects(facts, "zero-ablation", f"L{l}H{h}=zero")

# One logit of the folded view is counted from its mean over the vocabulary, as its attribution is.
facts, text, b = dossier("--of", "L2H1", "--target", f"#{target}")
above = lambda r: float(r[target]) - r.astype(np.float64).mean()
after = run("logits", "--edit", "L2H1=zero")["logits"]
same("logit", facts["logit"], above(base[last]), 1e-4)
same("effect on one logit", facts["zero-ablation: effect on the logit"],
     above(after[last]) - above(base[last]), 1e-4)
facts, text, b = dossier("--of", "L2H1", "--target", f"#{target}", "--weights", "raw")
same("raw logit", facts["logit"], base[last][target], 1e-4)

# Neurons.
by_neuron = run("dla", *pair, "--neurons", "3")["contribution"]
d_mlp = site("blocks.3.mlp.hook_post").shape[-1]
pre, post = site("blocks.3.mlp.hook_pre"), site("blocks.3.mlp.hook_post")
first = 2 + L * H + 3
for n in (0, 100, d_mlp - 1):
    facts, text, b = dossier("--of", f"L3N{n}", *pair, "--top", "5")
    same(f"L3N{n} dla", facts["direct attribution"], by_neuron[first + n], 1e-5)
    same("pre", facts["activation before the nonlinearity"], pre[last, n])
    same("post", facts["activation"], post[last, n])
    same("mean", facts["activation, mean over the prompt"], post[:, n].mean())
    same("line", b["activation"], post[:, n])
    assert int(facts["position of the largest"]) == post[:, n].argmax()
    effects(facts, "zero-ablation", f"L3N{n}=zero")

# Layers.
for l in (0, L - 1):
    facts, text, b = dossier("--of", f"L{l}", *pair, "--top", "5")
    x = {s: site(f"blocks.{l}.hook_{s}")[last].astype(np.float64)
         for s in ("resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post")}
    for name, s in (("norm of the stream before it", "resid_pre"),
                    ("norm of what attention adds", "attn_out"),
                    ("norm of the stream after it", "resid_post")):
        same(f"L{l} {name}", facts[name], np.linalg.norm(x[s]))
    cos = lambda u, v: u @ v / np.linalg.norm(u) / np.linalg.norm(v)
    same("attention cosine", facts["attention against the stream"], cos(x["attn_out"], x["resid_pre"]))
    same("MLP cosine", facts["MLP against the stream"], cos(x["mlp_out"], x["resid_mid"]))
    same("parts", b["contribution"], np.append(dla["head"][l], dla["mlp"][l]), 1e-4)
    for when, row in (("before", l), ("after", l + 1)):
        same(f"lens {when}", facts[f"lens entropy {when} it"], lens["entropy"][row, last], 1e-4)
        same(f"target {when}", facts[f"log-probability of the target {when} it"],
             lens["target_logprob"][row, last], 1e-4)
        assert facts[f"rank of the target {when} it"] == lens["target_rank"][row, last]
        same(f"top {when}", b[f"lens_{when}"], lens["top_logprob"][row, last], 1e-4)
        assert (b[f"lens_{when}_id"] == lens["top_token"][row, last]).all()
    effects(facts, "attention zeroed", f"L{l}_attn=zero")
    effects(facts, "MLP zeroed", f"L{l}_mlp=zero")

# Tokens.
embed = site("hook_embed").astype(np.float64)
for p in (0, 4, -1):
    q = p % T
    facts, text, b = dossier("--of", f"@{p}", "--target", f"#{target}", "--top", "5")
    assert facts["token id"] == tokens[q] and text["token"] == names[q]
    assert bytes.fromhex(text["its bytes"]).decode() == names[q]
    same("embedding", facts["norm of its embedding"], np.linalg.norm(embed[q]))
    same("trajectory", b["lens_logprob"], lens["target_logprob"][:, q], 1e-4)
    same("entropy", b["lens_entropy"], lens["entropy"][:, q], 1e-4)
    same("top", b["lens_top"], lens["top_logprob"][:, q, 0], 1e-4)
    assert (b["lens_rank"] == lens["target_rank"][:, q]).all()
    assert b["nearest_id"][0] == tokens[q] and abs(b["nearest"][0] - 1) < 1e-5
    if q:
        logp = softmax_logp(base[q - 1])
        same("loss", facts["loss of this token"], -logp[tokens[q]], 1e-4)
        assert facts["rank of this token"] == (base[q - 1] > base[q - 1][tokens[q]]).sum()

print(f"{failed} failed")
sys.exit(failed > 0)
