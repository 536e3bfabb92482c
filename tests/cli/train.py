#!/usr/bin/env python3
"""sonde train from outside: train.py SONDE MODELS. A run that was stopped, or killed, and resumed writes
the bytes of one that was not; the result is a model that the other commands read; mistakes are named."""
import json, os, random, signal, subprocess, sys, time

import h5py
import numpy as np

from common import SONDE, TMP, check, finish

MODELS = os.path.abspath(sys.argv[2])
VOCAB = os.path.join(MODELS, 'tokens')


def sonde(*args):
    return subprocess.run([SONDE, *args], capture_output=True, text=True, timeout=300, cwd=TMP, stdin=subprocess.DEVNULL,
                          env=dict(os.environ, SONDE_CONFIG='/dev/null'))


SHAPE = '--vocab-folder', VOCAB, '--n-layer', '2', '--n-head', '2', '--d-model', '24', '--n-ctx', '32'
RUN = '--steps', '20', '--warmup', '4', '--batch-tokens', '256', '--micro-tokens', '128', '--eval-every', '5', '--lr', '5e-3', '-t', '2'


def train(out, *more, code=0, start=SHAPE):
    r = sonde('train', '-f', 'corpus.jsonl', '-o', out, *start, *RUN, '--checkpoint-every', '0', *more)
    check(r.returncode == code, f'train {out} {more}: exit {r.returncode}: {r.stderr[-300:]}')
    return r


def read(folder, name):
    with open(os.path.join(TMP, folder, name), 'rb') as f:
        return f.read()


def same(a, b):
    for name in ('config.json', 'model.safetensors', 'checkpoint.safetensors', 'vocab.json', 'merges.txt'):
        check(read(a, name) == read(b, name), f'{name} of {a} and {b} differ')
    with h5py.File(os.path.join(TMP, a, 'train.h5')) as x, h5py.File(os.path.join(TMP, b, 'train.h5')) as y:
        g, h = x['runs/000-train'], y['runs/000-train']
        check(list(g) == list(h) and repr(dict(g.attrs)) == repr(dict(h.attrs)), f'reports of {a} and {b}: names or attributes differ')
        for k in g:
            check(np.array_equal(g[k][()], h[k][()], equal_nan=g[k].dtype.kind == 'f'), f'{k} of {a} and {b} differ')


random.seed(3)
words = 'Mara Tobin the harbour lantern gave went to and a red boat'.split()
with open(os.path.join(TMP, 'corpus.jsonl'), 'w') as f:
    for i in range(200):
        f.write(json.dumps({'text': ' '.join(random.choice(words) for _ in range(random.randint(3, 60)))}) + '\n')

train('whole')
with h5py.File(os.path.join(TMP, 'whole/train.h5')) as f:
    g = f['runs/000-train']
    loss, held = g['loss'][()], g['held_out_loss'][()]
    check(list(g['step'][()]) == list(range(1, 21)) and loss[-1] < loss[0] - 0.5, f'loss {loss[0]} to {loss[-1]}')
    check([i + 1 for i in range(20) if np.isfinite(held[i])] == [5, 10, 15, 20], 'held-out loss every 5 steps')
    check(abs(g['lr'][3] - 5e-3) < 1e-9 and g['lr'][0] < g['lr'][3] > g['lr'][19], 'warm-up and cosine')

train('halves', '--stop-at', '10')
check(json.loads(read('halves', 'config.json'))['n_layer'] == 2, 'config.json')
train('halves', '--resume', start=())
same('whole', 'halves')

# Killed at a moment of its own choosing, with a checkpoint every step.
p = subprocess.Popen([SONDE, 'train', '-f', 'corpus.jsonl', '-o', 'killed', *SHAPE, *RUN, '--checkpoint-every', '1'], cwd=TMP,
                     stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
end = time.time() + 60
while not os.path.exists(os.path.join(TMP, 'killed/checkpoint.safetensors')) and time.time() < end and p.poll() is None:
    time.sleep(0.002)
p.send_signal(signal.SIGKILL)
p.wait()
train('killed', '--resume', start=())
same('whole', 'killed')

# Interrupted: the finished steps are kept, the model is readable, the report says so.
p = subprocess.Popen([SONDE, 'train', '-f', 'corpus.jsonl', '-o', 'stopped', *SHAPE, *RUN, '--steps', '100000', '--checkpoint-every', '0',
                      '--progress', 'json'], cwd=TMP, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
line = ''
while '"step"' not in line:
    line = p.stderr.readline()
p.send_signal(signal.SIGINT)
rest = p.stderr.read()
check(p.wait() == 130 and '--resume' in rest, f'interrupted: exit {p.returncode}, {rest[-200:]!r}')
check(set(json.loads(line)) >= {'step', 'loss', 'lr', 'tokens_per_s', 'eta'}, f'progress: {line!r}')
with h5py.File(os.path.join(TMP, 'stopped/train.h5')) as f:
    check(f['runs/000-train'].attrs['status'] in ('cancelled', b'cancelled'), 'status of an interrupted run')
    check(len(f['runs/000-train/loss']) >= 1, 'its curve')
check(sonde('tokens', '-m', 'stopped', '-p', 'x').returncode == 0, 'the model of an interrupted run')

# A resumed run must be the same run.
r = train('halves', '--resume', '--lr', '1e-4', code=2, start=())
check('--lr' in r.stderr, f'other --lr: {r.stderr!r}')
r = train('halves', code=2)
check('--resume' in r.stderr, f'a folder that is taken: {r.stderr!r}')
r = train('nothing', '--resume', code=2, start=())
check('checkpoint' in r.stderr, f'nothing to resume: {r.stderr!r}')
r = train('odd', '--n-head', '5', code=2)
check('--d-model' in r.stderr, f'heads: {r.stderr!r}')
r = sonde('train', '-f', 'absent.txt', '-o', 'x', *SHAPE)
check(r.returncode == 3 and 'absent.txt' in r.stderr, f'no corpus: {r.stderr!r}')
r = sonde('train', '-o', 'x', *SHAPE)
check(r.returncode == 2 and '-f' in r.stderr, f'no -f: {r.stderr!r}')
r = sonde('train', '-f', 'corpus.jsonl', '-o', 'x')
check(r.returncode == 2 and '--vocab-folder' in r.stderr, f'no tokenizer: {r.stderr!r}')
r = train('small', '--max-mem', '1M', code=4)
check('--micro-tokens' in r.stderr, f'memory: {r.stderr!r}')

# The result is a model like any other, and may be trained further, in 16 bits too.
r = sonde('generate', '-m', 'whole', '-p', 'Mara', '--max-new-tokens', '5')
check(r.returncode == 0 and r.stdout, f'generate: {r.stderr!r}')
r = train('further', '--dtype', 'bf16', '--by-document', start=('-m', 'whole'))
check(len(read('further', 'model.safetensors')) < 0.7 * len(read('whole', 'model.safetensors')), 'bf16 is half as large')
check(read('further', 'vocab.json') == read('whole', 'vocab.json'), 'the tokenizer travels')

for root, _, names in os.walk(TMP, topdown=False):
    for n in names:
        check(not n.endswith('.part') or 'x' in root, f'{root}/{n} was left behind')
        os.unlink(os.path.join(root, n))
    os.rmdir(root)
finish()
