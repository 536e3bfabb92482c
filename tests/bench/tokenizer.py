#!/usr/bin/env python3
"""Times sonde's tokenizer beside Hugging Face's `tokenizers`, both on one core.

    tokenizer.py BUILD/tests/tokenize FOLDER [--file TEXT]... [--bytes 4000] [--rounds 5]

FOLDER holds vocab.json and merges.txt. The two programs take turns, `rounds` times, on the same documents (cut at
line ends, about `bytes` long); the medians and their ratio are printed, and the ids are counted on both sides. Without
--file the texts are English prose (the topics of Python's own manual) and words of eight scripts, drawn from a seed.
Needs `tokenizers` (a virtual environment of your own); the suite never runs it."""
import argparse
import os
import random
import statistics
import subprocess
import tempfile
import time

os.environ['TOKENIZERS_PARALLELISM'] = 'false'
os.environ['RAYON_NUM_THREADS'] = '1'

from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: E402

SCRIPTS = [(0x410, 0x44f), (0x3b1, 0x3c9), (0x4e00, 0x9fa5), (0x3041, 0x3093), (0xac00, 0xd7a3), (0x627, 0x64a),
    (0x905, 0x939), (0x61, 0x7a)]


def english():
    import pydoc_data.topics
    return '\n'.join(pydoc_data.topics.topics.values())


def mixed():
    rng = random.Random(1)
    words = [[''.join(chr(rng.randint(*s)) for _ in range(rng.randint(2, 8))) for _ in range(3000)] for s in SCRIPTS]
    out = []
    while len(out) < 30000:
        w = rng.choice(words)
        out.append(' '.join(w[min(int(rng.paretovariate(0.8)), len(w) - 1)] for _ in range(rng.randint(3, 15))) +
            rng.choice(['. ', '! ', '。', ', ', '\n', '… ', ' 😀 ']))
    return ''.join(out)


def documents(data, size):
    i = 0
    while i < len(data):
        nl = data.find(b'\n', i + size) if len(data) - i > size else -1
        end = nl + 1 if nl >= 0 else len(data)
        yield data[i:end].decode()
        i = end


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('exe')
    p.add_argument('folder')
    p.add_argument('--file', action='append', default=[])
    p.add_argument('--bytes', type=int, default=4000)
    p.add_argument('--rounds', type=int, default=5)
    a = p.parse_args()
    t = Tokenizer(models.BPE.from_file(a.folder + '/vocab.json', a.folder + '/merges.txt'))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.add_special_tokens(['<|endoftext|>'])
    texts = [(f, open(f, encoding='utf-8').read()) for f in a.file] or [('English', english()), ('mixed scripts', mixed())]
    for name, text in texts:
        data = text.encode()
        docs = list(documents(data, a.bytes))
        with tempfile.NamedTemporaryFile() as f:
            f.write(data)
            f.flush()
            ours, theirs, opening = [], [], []
            for _ in range(a.rounds):
                out = subprocess.run([a.exe, a.folder, 'bench', f.name, str(a.bytes)], check=True, stdout=subprocess.PIPE,
                    text=True).stdout.split()
                opening.append(float(out[0]))
                ours.append(statistics.median(map(float, out[1::2])))
                begin = time.perf_counter()
                count = sum(len(t.encode(d, add_special_tokens=False).ids) for d in docs)
                theirs.append(time.perf_counter() - begin)
                if count != int(out[2]):
                    raise SystemExit(f'{name}: {out[2]} tokens here, {count} there')
        x, y = statistics.median(ours), statistics.median(theirs)
        print(f'{name}: {len(data) / 1e6:.2f} MB, sonde {len(data) / x / 1e6:.1f} MB/s, tokenizers {len(data) / y / 1e6:.2f} MB/s, '
            f'{y / x:.1f}x; opening {statistics.median(opening) * 1e3:.0f} ms', flush=True)


if __name__ == '__main__':
    main()
