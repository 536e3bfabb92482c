"""What the tests of sonde cache share: a corpus, the program, and a slow reference of documents and windows."""
import json
import os
import random
import subprocess
import sys
import tempfile

import h5py
import numpy as np

SONDE = os.path.abspath(sys.argv[1])
MODELS = os.path.abspath(sys.argv[2]) if len(sys.argv) > 2 else None
TMP = tempfile.mkdtemp(prefix='sonde-cache-')
ENV = dict(os.environ, SONDE_CONFIG='/dev/null', XDG_CACHE_HOME=os.path.join(TMP, 'xdg'))
SANITIZED = b'__asan_init' in open(SONDE, 'rb').read()  # its memory is not what we measure; libhdf5 leaks on full disks
WORDS = 'Mara Tobin the harbour lantern gave went to and a red boat, said: "No!" 12 cafés\tx'.split(' ')
failed = passed = 0


def check(ok, what):
    global failed, passed
    passed += bool(ok)
    if not ok:
        failed += 1
        print('FAILED', what)
    return ok


def finish():
    print(f'{passed} passed, {failed} failed')
    subprocess.run(['rm', '-rf', TMP])
    sys.exit(failed > 0)


def sonde(*args, code=0, **more):
    r = subprocess.run([SONDE, *map(str, args)], capture_output=True, text=True, timeout=300, cwd=TMP, env=ENV,
                       **{'stdin': subprocess.DEVNULL, **more})
    check(r.returncode == code, f'{" ".join(map(str, args))[:150]}: exit {r.returncode}, {code} expected: {r.stderr[-300:]}')
    if code:
        check(0 < len(r.stderr.strip().splitlines()) <= 4, f'{args}: a clear line: {r.stderr!r}')
    return r


def path(name):
    return os.path.join(TMP, name)


def text(rng, words):
    return ' '.join(rng.choice(WORDS) for _ in range(words))


def write_jsonl(name, texts):
    with open(path(name), 'w') as f:
        for t in texts:
            f.write(json.dumps({'text': t}) + '\n')


def tokens(texts, model='tiny'):
    """(ids, offsets) of each text, special tokens as plain text is not what `sonde tokens` does: give none."""
    write_jsonl('tokens.jsonl', texts)
    r = sonde('tokens', '-m', model, '-f', 'tokens.jsonl', '--no-prepend-bos')
    out = [json.loads(line) for line in r.stdout.splitlines()]
    check(len(out) == len(texts), f'tokens: {len(out)} lines for {len(texts)} texts')
    return [(o['ids'], o['offsets']) for o in out]


def windows(n, bos, window, stride):
    """The sequences of a document of n tokens: (first token, number, how many of them are new)."""
    room = window - bos
    step = stride or room
    out, start, seen = [], 0, 0
    while seen < n:
        end = min(start + room, n)
        out.append((start, end - start, end - max(seen, start)))
        seen = end
        start += step
    return out


def reference(documents, bos, window, stride):
    """Rows of a cache as lists; documents are (ids, offsets or None). Every token is stored at the longest left
    context that any window gives it: that is checked here, by looking at all of them."""
    rows = dict(tokens=[], position=[], text_begin=[], text_end=[])
    offsets, window_offsets, sequences = [0], [0], []
    for ids, spans in documents:
        has_bos = bos is not None and spans is not None
        every = windows(len(ids), has_bos, window, stride)
        for start, n, new in every:
            sequence = ([bos] if has_bos else []) + ids[start:start + n]
            kept = ([0] if has_bos else []) + list(range(len(sequence) - new, len(sequence)))
            for p in kept:
                rows['tokens'].append(sequence[p])
                rows['position'].append(p)
                t = start + p - has_bos
                if p or not has_bos:
                    context = max(t - s for s, m, _ in every if s <= t < s + m)
                    assert p - has_bos == context, (p, context)
                first = spans[start][0] if spans else 0
                rows['text_begin'].append((first if has_bos and p == 0 else spans[t][0]) if spans else 0)
                rows['text_end'].append((first if has_bos and p == 0 else spans[t][1]) if spans else 0)
            window_offsets.append(len(rows['tokens']))
            sequences.append((sequence, kept))
        offsets.append(len(rows['tokens']))
    return rows, offsets, window_offsets, sequences


def files(name):
    """Bytes of a cache, without the log that tells who made it when."""
    folder = path(name + '.acts')
    out = {f: open(os.path.join(folder, f), 'rb').read() for f in sorted(os.listdir(folder)) if not f.endswith('.log')}
    if os.path.exists(path(name + '.h5')):
        out[''] = open(path(name + '.h5'), 'rb').read()
    return out
