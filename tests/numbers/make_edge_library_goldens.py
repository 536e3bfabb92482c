#!/usr/bin/env python3
"""Goldens of edges from the EAP-IG library itself (github.com/hannamw/EAP-IG, src/eap).

    make_edge_library_goldens.py LIBRARY MODELS OUT.json

LIBRARY is the folder that holds the package `eap`, MODELS one of make_models.py; OUT.json is committed as
goldens/edge_library.json and read by check_edge_library.py. In fp64. Run it in an environment with torch,
transformers and transformer_lens.

The library is taken as it is but for what it needs of its surroundings: a GPU, a tokenizer (these models have
none: prompts are ids of one length), graphviz, and heads in the plural (one head a layer loses an axis)."""
import json
import os
import sys
import tempfile
import types

import numpy as np
import torch

library, models, path = sys.argv[1:4]
sys.path.insert(0, library)
for name in ("pygraphviz", "eap.visualization"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["pygraphviz"].AGraph = object
sys.modules["eap.visualization"].get_color = None
sys.modules["eap.visualization"].generate_random_color = None
zeros = torch.zeros
torch.zeros = lambda *a, device=None, **k: zeros(*a, **k)
try:
    import eap.evaluate
except ImportError:  # names that the library imports and does not define
    import eap.utils
    eap.utils.load_ablations = None
import eap.attribute as attribute  # noqa: E402
import eap.evaluate as evaluate  # noqa: E402
from eap.graph import Graph  # noqa: E402
from make_analysis_goldens import load, rounded  # noqa: E402
from make_circuit_goldens import raw  # noqa: E402

VARIANTS = ["plain", "untied", "narrow", "lnfree"]
STEPS = 3


def ids(model, inputs, max_length=None):
    x = torch.tensor(inputs)
    return x, None, torch.full((len(inputs),), x.shape[1]), x.shape[1]


attribute.tokenize_plus = evaluate.tokenize_plus = sys.modules["eap.utils"].tokenize_plus = ids


def difference(logits, clean_logits, lengths, label):
    return torch.stack([z[-1, a] - z[-1, b] for z, (a, b) in zip(logits, label)])


def loss(*args):
    return -difference(*args).mean()


def variant(name):
    hf = load(os.path.join(models, name))
    model, c = raw(hf), hf.config
    rs = np.random.RandomState(17)
    pairs = []
    for k in range(3):
        clean = [int(v) for v in rs.randint(0, c.vocab_size, 7)]
        corrupt = [v if i < 1 + k else int(rs.randint(0, c.vocab_size)) for i, v in enumerate(clean)]
        label = tuple(int(v) for v in rs.choice(c.vocab_size, 2, replace=False))
        pairs.append((clean, corrupt, label))
    data = [([a], [b], [l]) for a, b, l in pairs]  # batches of one: the library divides by pairs and batches
    corrupt = [(b,) for _, b, _ in data]
    g = Graph.from_model(model)
    out = {"pairs": [{"clean": a, "corrupt": b, "answer": f"#{l[0]}", "wrong_answer": f"#{l[1]}"}
                     for a, b, l in pairs], "edges": list(g.edges), "nodes": list(g.nodes), "runs": []}
    for method, ablation, f in (
            ("eap", "resample", lambda: attribute.get_scores_eap(model, g, data, loss)),
            ("eap", "zero", lambda: attribute.get_scores_eap(model, g, data, loss, intervention="zero")),
            ("eap", "mean", lambda: attribute.get_scores_eap(
                model, g, data, loss, intervention="mean-positional", intervention_dataloader=corrupt)),
            ("eap_ig_inputs", "resample",
             lambda: attribute.get_scores_eap_ig(model, g, data, loss, steps=STEPS)),
            ("eap_ig_activations", "resample",
             lambda: attribute.get_scores_ig_activations(model, g, data, loss, steps=STEPS)),
            ("clean_corrupted", "resample",
             lambda: attribute.get_scores_clean_corrupted(model, g, data, loss))):
        scores = f().detach()
        g.scores = scores
        n = len(g.edges) // 4
        g.apply_topn(n, True)
        before = -1
        while before != g.in_graph.sum():  # one call is one round
            before = g.in_graph.sum()
            g.prune()
        how = {"zero": "zero", "mean": "mean-positional"}.get(ablation, "patching")
        value = evaluate.evaluate_graph(model, g, data, difference, quiet=True, intervention=how,
                                        intervention_dataloader=corrupt)
        with tempfile.NamedTemporaryFile("r") as t:
            g.to_json(t.name)
            kept = [e for e, v in json.load(open(t.name))["edges"].items() if v["in_graph"]]
        out["runs"].append({
            "method": method, "ablation": ablation, "steps": STEPS, "top": n, "kept": kept,
            "score": rounded(torch.stack([scores[e.matrix_index] for e in g.edges.values()])),
            "circuit": rounded(value)})
    return out


torch.set_grad_enabled(True)
with open(path, "w") as f:
    json.dump({v: variant(v) for v in VARIANTS}, f, separators=(",", ":"))
    f.write("\n")
