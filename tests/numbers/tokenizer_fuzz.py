#!/usr/bin/env python3
"""Compares sonde's tokenizer with Hugging Face's `tokenizers` on random texts and many vocabularies.

  tokenizer_fuzz.py BUILD/tests/tokenize [--gpt2 FOLDER] [--texts 100000] [--seed 1]

Every text goes through both; ids must be equal, and offsets too where the library's rule (whole
characters) allows the comparison. Runs in the reference environment: it needs `tokenizers`.
"""
import argparse
import itertools
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIAL, NO_PREFIX = 1, 2
RANGES = [(0x20, 0x7e)] * 6 + [(0, 0x1f), (0x7f, 0xff), (0x100, 0x24f), (0x300, 0x36f), (0x370, 0x3ff),
    (0x400, 0x4ff), (0x590, 0x6ff), (0x900, 0x97f), (0xe00, 0xe7f), (0x1100, 0x11ff), (0x1680, 0x1690),
    (0x1800, 0x180f), (0x2000, 0x206f), (0x2070, 0x218f), (0x2460, 0x24ff), (0x3000, 0x30ff),
    (0x4e00, 0x9fff), (0xac00, 0xd7ff), (0xe000, 0xe010), (0xfb00, 0xffff), (0x10000, 0x10fff),
    (0x13400, 0x14400), (0x16d40, 0x16d80), (0x1d400, 0x1d7ff), (0x1e5d0, 0x1e5ff), (0x1f1e6, 0x1f1ff),
    (0x1f300, 0x1faff), (0x2ebf0, 0x2ee60), (0x31340, 0x323b0), (0xe0000, 0xe007f), (0, 0x10ffff)]
WORDS = ["don't", "WE'LL", "they've", "I'm", "you'd", "'s", "''s", "'", "’t", " ", "  ", "   ", "\n", "\n\n",
    "\r\n", "\t", " \n ", "\u00a0", "\u3000", "\u200b", "\u180e", "\u0085", "3.14", "1st", "½²③", "the", " the",
    "Mara", " Mara", "harbour", "e\u0301", "日本語", "Привет", "😀", "👩‍🚀", "🇫🇷", "_", "--", "...", "()", "==",
    "<|endoftext|>", "<|end", "oftext|>", "<a>", "<b>", "<ab>", "tok", "token", "[X]", " [X] ", "a b", "\x00",
    "\x1c", "\ufeff", "\ufffd", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "ab" * 80, "x" * 300, "ß", "ſ", "İ", "ǅ"]


def character(rng):
    while True:
        c = rng.randint(*rng.choice(RANGES))
        if not 0xd800 <= c < 0xe000:
            return chr(c)


def text(rng):
    parts = []
    for _ in range(rng.randint(0, 12)):
        kind = rng.random()
        if kind < 0.45:
            parts.append(rng.choice(WORDS))
        elif kind < 0.75:
            parts.append(''.join(character(rng) for _ in range(rng.randint(1, 6))))
        else:
            parts.append(''.join(chr(rng.randint(97, 122)) for _ in range(rng.randint(1, 9))) + ' ')
    data = ''.join(parts).encode()
    if rng.random() < 0.2 and data:  # break it
        data = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            i = rng.randrange(len(data) + 1)
            what = rng.random()
            if what < 0.4:
                data[i:i] = bytes(rng.randint(128, 255) for _ in range(rng.randint(1, 5)))
            elif what < 0.7:
                del data[i:i + rng.randint(1, 3)]
            elif i < len(data):
                data[i] = rng.randint(0, 255)
        data = bytes(data)
    return data


def ours(exe, folder, texts, flags):
    run = subprocess.run([exe, folder, str(flags)], input=b''.join(struct.pack('<I', len(t)) + t for t in texts),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if run.returncode:
        sys.exit(f'{folder}: {run.stderr.decode()}')
    at, out = 0, run.stdout
    for _ in texts:
        n, = struct.unpack_from('<I', out, at)
        ids = list(struct.unpack_from(f'<{n}i', out, at + 4))
        ends = list(struct.unpack_from(f'<{n}q', out, at + 4 + 4 * n))
        invalid, = struct.unpack_from('<q', out, at + 4 + 12 * n)
        at += 12 + 12 * n
        yield ids, ends, invalid


def spans(decoded, ends):
    """Our byte offsets as the library gives them: the characters each token touches."""
    char_of = []
    for i, c in enumerate(decoded):
        char_of += [i] * len(c.encode())
    begin, out = 0, []
    for end in ends:
        out.append((char_of[begin], char_of[end - 1] + 1) if end > begin else None)
        begin = end
    return out


def check(exe, folder, tokenizer, texts, flags, name, tiles=True):
    tokenizer.encode_special_tokens = not flags & SPECIAL
    decoded = [t.decode(errors='replace') for t in texts]
    bad = 0
    for data, clean, (ids, ends, invalid) in zip(texts, decoded, ours(exe, folder, texts, flags)):
        try:
            want = tokenizer.encode(clean, add_special_tokens=False)
        except BaseException as e:  # the library panics where stripped blanks overlap a token
            if type(e).__name__ != 'PanicException':
                raise
            continue
        ok = ids == want.ids and sorted(ends) == ends and (not ids or ends[-1] == len(data) or not tiles)
        if ok and tiles and not invalid and tiles != 'ids':
            ok = all(x is None or x == y for x, y in zip(spans(clean, ends), want.offsets))
        if not ok:
            bad += 1
            if bad <= 3:
                print(f'  {name}: {data!r}\n    ours {ids} {ends}\n    want {want.ids} {want.offsets}')
    print(f'{name}: {len(texts)} texts, {bad} differ', flush=True)
    return bad


def gpt2(folder):
    t = Tokenizer(models.BPE.from_file(folder + '/vocab.json', folder + '/merges.txt'))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens(['<|endoftext|>'])
    return t


def corpus(rng, n):
    return [text(rng).decode(errors='replace') for _ in range(n)]


def trained(rng, alphabet, size=700):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(corpus(rng, 3000), trainers.BpeTrainer(vocab_size=size, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if alphabet else []))
    return json.loads(t.to_str())


def added(rng, base):
    names = ['<|endoftext|>', '<a>', '<b>', '<ab>', '<|end', 'tok', 'token', 'ken', '[X]', ' Mara', 'a b', 'é', ' ', '\n',
        '日本', 'the', 'x', "'s"]
    rng.shuffle(names)
    t = Tokenizer.from_str(json.dumps(base))
    for name in names[:rng.randint(1, 9)]:
        token = AddedToken(name, single_word=rng.random() < .3, lstrip=rng.random() < .3, rstrip=rng.random() < .3,
            normalized=rng.random() < .5, special=rng.random() < .5)
        (t.add_special_tokens if token.special else t.add_tokens)([token])
    return json.loads(t.to_str())


def variants(rng, whole, partial):
    """Names and documents: each switch that tokenizer.json has, on a small vocabulary."""
    yield 'small', whole
    yield 'small without some bytes', partial
    for pairs, prefix, regex, ignore in itertools.product([0, 1], repeat=4):
        j = json.loads(json.dumps(whole))
        if pairs:
            j['model']['merges'] = [' '.join(m) if isinstance(m, list) else m for m in j['model']['merges']]
        j['pre_tokenizer'].update(add_prefix_space=bool(prefix), use_regex=bool(regex))
        j['model']['ignore_merges'] = bool(ignore)
        if ignore:  # names that merges do not lead to
            for extra in ('Ġharbour', 'xyzzy', 'Ð¿ÑĢÐ¸'):
                j['model']['vocab'].setdefault(extra, len(j['model']['vocab']))
        yield f'{"strings" if pairs else "pairs"} prefix={prefix} regex={regex} ignore_merges={ignore}', j
    for fuse in (False, True):
        j = json.loads(json.dumps(partial))
        j['model'].update(unk_token='<unk>', fuse_unk=fuse)
        j['model']['vocab']['<unk>'] = len(j['model']['vocab'])
        yield f'unk fuse={fuse}', j
    for i in range(24):
        j = json.loads(json.dumps(rng.choice([whole, whole, partial])))
        j['pre_tokenizer'].update(add_prefix_space=rng.random() < .3)
        yield f'added tokens {i}', added(rng, j)
    j = json.loads(json.dumps(whole))  # merges in another order: ranks, not names, decide
    rng.shuffle(j['model']['merges'])
    yield 'shuffled merges', j
    j = json.loads(json.dumps(whole))
    j['model']['merges'] = j['model']['merges'] + j['model']['merges'][:40]
    yield 'repeated merges', j


def word_characters(exe):
    """Whether each code point keeps a single_word token from being one."""
    t = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, merges=[]))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.add_tokens([AddedToken('QZ', single_word=True)])
    with tempfile.TemporaryDirectory() as folder:
        t.save(os.path.join(folder, 'tokenizer.json'))
        texts = [form.format(chr(c)).encode() for c in range(0x110000) if not 0xd800 <= c < 0xe000
            for form in ('{}QZ', 'QZ{}')]
        return check(exe, folder, t, texts, SPECIAL, 'word characters', tiles='ids')


def main():
    p = argparse.ArgumentParser()
    p.add_argument('exe')
    p.add_argument('--gpt2')
    p.add_argument('--texts', type=int, default=100000)
    p.add_argument('--seed', type=int, default=1)
    a = p.parse_args()
    rng = random.Random(a.seed)
    bad = 0
    if a.gpt2:
        t = gpt2(a.gpt2)
        every = [chr(c) for c in range(0x110000) if not 0xd800 <= c < 0xe000]
        around = ['{}', ' {}', 'a{}b', '1{}2', '!{}?', '{}{} x']
        for form in around:
            step = [form.replace('{}', c).encode() for c in every]
            for i in range(0, len(step), 200000):
                bad += check(a.exe, a.gpt2, t, step[i:i + 200000], SPECIAL, f'GPT-2, {form!r}')
        for i in range(0, a.texts, 20000):
            texts = [text(rng) for _ in range(min(20000, a.texts - i))]
            bad += check(a.exe, a.gpt2, t, texts, SPECIAL, 'GPT-2')
        bad += check(a.exe, a.gpt2, t, [text(rng) for _ in range(5000)], 0, 'GPT-2, specials as text')
    if a.gpt2:
        bad += word_characters(a.exe)
    whole, partial = trained(rng, True), trained(rng, False)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'tokenizer.json')
        for name, document in variants(rng, whole, partial):
            with open(path, 'w') as f:
                json.dump(document, f)
            t = Tokenizer.from_file(path)
            with open(path, 'w') as f:
                f.write(t.to_str())
            plain = 'prefix=1' not in name and 'added' not in name and 'without' not in name and 'unk' not in name
            for flags in (SPECIAL, 0):
                texts = [text(rng) for _ in range(max(200, a.texts // 100))]
                bad += check(a.exe, folder, t, texts, flags, name, tiles=True if plain else 'ids')
    sys.exit(1 if bad else 0)


if __name__ == '__main__':
    main()
