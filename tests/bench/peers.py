#!/usr/bin/env python3
"""Times sonde beside PyTorch + transformers, TransformerLens and ONNX Runtime on one machine.

    peers.py SONDE [--model FOLDER] [--threads 2] [--rounds 3] [--only NAME,NAME] [--json]

Needs torch, transformers and, for their rows, transformer_lens and onnxruntime (a virtual
environment of your own); the suite never runs it. Each row alternates the two programs `rounds`
times and prints the median of each and their ratio, so that a drift of the machine hits both.
Without --model it makes a GPT-2-small-shaped random model under the temporary folder."""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ap = argparse.ArgumentParser()
ap.add_argument("sonde")
ap.add_argument("--model")
ap.add_argument("--threads", type=int, default=2)
ap.add_argument("--rounds", type=int, default=3)
ap.add_argument("--only", default="")
ap.add_argument("--json", action="store_true")
opt = ap.parse_args()
os.environ.setdefault("OMP_NUM_THREADS", str(opt.threads))
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch  # noqa: E402
import transformers  # noqa: E402

torch.set_num_threads(opt.threads)
transformers.logging.set_verbosity_error()

folder = opt.model
if not folder:
    folder = os.path.join(tempfile.gettempdir(), "sonde-bench-gpt2")
    if not os.path.exists(os.path.join(folder, "model.safetensors")):
        subprocess.check_call([sys.executable, os.path.join(HERE, "../numbers/make_models.py"),
                               "--shape", "gpt2", folder])
hf = transformers.GPT2LMHeadModel.from_pretrained(folder, attn_implementation="sdpa").eval()
V = hf.config.vocab_size


def ids(t):
    g = torch.Generator().manual_seed(t)
    return torch.randint(0, V, (1, t), generator=g)


def timed(fn, least=0.5, most=20):
    """Median seconds of fn over at least `least` seconds."""
    fn()
    runs, begin = [], time.perf_counter()
    while len(runs) < 3 or (time.perf_counter() - begin < least and len(runs) < most):
        t0 = time.perf_counter()
        fn()
        runs.append(time.perf_counter() - t0)
    return sorted(runs)[len(runs) // 2]


def forward(t):
    x = ids(t)

    def run():
        with torch.no_grad():
            hf(x, use_cache=False)
    return lambda: timed(run)


def gradients(t):
    x = ids(t)

    def run():
        hf.zero_grad(set_to_none=True)
        hf(x, labels=x, use_cache=False).loss.backward()
    return lambda: timed(run)


def generation():
    x = ids(16)

    def run():
        with torch.no_grad():
            hf.generate(x, attention_mask=torch.ones_like(x), max_new_tokens=32, min_new_tokens=32,
                        do_sample=False, pad_token_id=0)
    return lambda: timed(run) / 32


lens_model = None


def hooked():
    global lens_model
    if lens_model is None:
        import transformer_lens as tl
        c = hf.config
        cfg = tl.HookedTransformerConfig(
            n_layers=c.n_layer, d_model=c.n_embd, n_ctx=c.n_positions, n_heads=c.n_head,
            d_head=c.n_embd // c.n_head, d_mlp=c.n_inner or 4 * c.n_embd, d_vocab=V,
            act_fn="gelu_new", normalization_type="LN", seed=0)
        lens_model = tl.HookedTransformer(cfg)
    return lens_model


def sites(t, logits):
    x = ids(t)

    def run():
        with torch.no_grad():
            hooked().run_with_cache(x, return_type="logits" if logits else None)
    return lambda: timed(run)


def forward_dla(t):
    x = ids(t)

    def run():
        m = hooked()
        with torch.no_grad():
            _, cache = m.run_with_cache(x)
            heads = cache.stack_head_results(layer=-1, pos_slice=-1)
            heads = cache.apply_ln_to_stack(heads, layer=-1, pos_slice=-1)
            heads[:, 0] @ m.W_U[:, 5]
    return lambda: timed(run)


def onnx(t):
    import onnxruntime as ort
    path = os.path.join(tempfile.gettempdir(), "sonde-bench-gpt2.onnx")
    if not os.path.exists(path):
        class Plain(torch.nn.Module):
            """The same model as a plain graph, which the exporter understands."""

            def __init__(self):
                super().__init__()
                self.m = hf.transformer
                mask = torch.full((hf.config.n_positions,) * 2, float("-inf")).triu(1)
                self.register_buffer("mask", mask)

            def forward(self, x):
                t, c, h = x.shape[1], hf.config, hf.config.n_head
                y = self.m.wte(x) + self.m.wpe.weight[:t]
                for blk in self.m.h:
                    q, k, v = blk.attn.c_attn(blk.ln_1(y)).split(c.n_embd, dim=2)
                    q, k, v = (a.reshape(1, t, h, -1).transpose(1, 2) for a in (q, k, v))
                    w = q @ k.transpose(2, 3) / (c.n_embd // h) ** 0.5 + self.mask[:t, :t]
                    z = (torch.softmax(w, -1) @ v).transpose(1, 2).reshape(1, t, c.n_embd)
                    y = y + blk.attn.c_proj(z)
                    y = y + blk.mlp(blk.ln_2(y))
                return self.m.ln_f(y) @ self.m.wte.weight.T
        torch.onnx.export(Plain(), (ids(16),), path, input_names=["x"], output_names=["y"],
                          dynamic_axes={"x": {1: "t"}, "y": {1: "t"}}, opset_version=17,
                          dynamo=False)
    so = ort.SessionOptions()
    so.intra_op_num_threads = opt.threads
    session = ort.InferenceSession(path, so, providers=["CPUExecutionProvider"])
    x = ids(t).numpy()
    return lambda: timed(lambda: session.run(None, {"x": x}))


def dla_run(t):
    """One `run dla` inside a process: 21 lines of a batch less one line, over 20."""
    tokens = ",".join(str(int(v)) for v in ids(t)[0])

    def lines(n):
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "lines")
            with open(path, "w") as f:
                f.write(f"run dla -m {folder} --tokens {tokens}\n" * n)
            t0 = time.perf_counter()
            subprocess.run([opt.sonde, "batch", path, "-q", "-t", str(opt.threads), "-o",
                            os.path.join(d, "r.h5")], check=True)
            return time.perf_counter() - t0
    one = sorted(lines(1) for _ in range(3))[1]
    return (lines(21) - one) / 20


def bench(name):
    if name.startswith("dla_"):
        return dla_run(int(name[4:]))
    r = subprocess.run([opt.sonde, "bench", name, "--json", "-m", folder, "-t", str(opt.threads)],
                       capture_output=True, text=True)
    if r.returncode:
        sys.exit(f"sonde bench {name}: {r.stderr}")
    return json.loads(r.stdout)["rows"][0]["median_s"]


ROWS = {}
for t in (16, 64, 256, 1024):
    ROWS[f"forward_{t}"] = (f"forward_{t}", "transformers", lambda t=t: forward(t))
for t in (16, 64, 256, 1024):
    ROWS[f"onnx_{t}"] = (f"forward_{t}", "ONNX Runtime", lambda t=t: onnx(t))
for t in (64, 256):
    ROWS[f"gradients_{t}"] = (f"gradients_{t}", "PyTorch", lambda t=t: gradients(t))
for name, logits in (("sites_1024", False), ("sites_logits_1024", True)):
    ROWS[name] = (name, "TransformerLens", lambda logits=logits: sites(1024, logits))
ROWS["generate_token"] = ("generate_token", "transformers", generation)
ROWS["dla_64"] = ("dla_64", "TransformerLens", lambda: forward_dla(64))

only = [x for x in opt.only.split(",") if x]
out = []
for name, (row, peer, make) in ROWS.items():
    if only and name not in only:
        continue
    try:
        theirs_fn = make()
    except ImportError as err:
        print(f"{name}: {peer} is not installed ({err})", file=sys.stderr)
        continue
    ours, theirs = [], []
    for _ in range(opt.rounds):
        theirs.append(theirs_fn())
        ours.append(bench(row))
    a, b = sorted(ours)[len(ours) // 2], sorted(theirs)[len(theirs) // 2]
    out.append({"name": name, "peer": peer, "sonde_s": a, "peer_s": b, "ratio": b / a})
    if not opt.json:
        print(f"{name:16} sonde {a * 1e3:9.1f} ms   {peer:15} {b * 1e3:9.1f} ms   x{b / a:.2f}",
              flush=True)
if opt.json:
    print(json.dumps({"rows": out}))
