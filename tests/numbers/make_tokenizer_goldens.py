#!/usr/bin/env python3
"""Writes tests/numbers/goldens/tokenizer: small vocabularies and the ids that Hugging Face's `tokenizers` gives.

  make_tokenizer_goldens.py [GPT2_VECTORS.json]

Each folder holds a tokenizer and `cases`: lines of the text in hex (`-`: empty), the ids, and 1 where special
tokens in the text are parsed. Runs in the reference environment. GPT2_VECTORS.json has GPT-2's own ids ("vectors":
[[text, ids], ...]); its vocabulary is not copied.
"""
import json
import os
import random
import sys

from tokenizers import AddedToken, Tokenizer

import tokenizer_fuzz as fuzz

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'goldens', 'tokenizer')
TEXTS = [b'', b' ', b'Hello world', b"don't DON'T don\xe2\x80\x99t", b'a\n\n b', b'    x\n', b'x  ', b"''s", b'\x00\x1c',
    'naïve café 日本語 😀'.encode(), '½²③ e\u0301'.encode(), b'\xff', b'a\xf0\x9f\x98z', b'\xc0\xaf \xed\xa0\x80', b'x' * 300,
    b'aaaaaaaaaaaaaaaaaaaaaaaa' * 40, b'When Mara and Tobin went to the harbour', b'<|endoftext|>', b'a <|endoftext|> b',
    b'<|endoftext|><|endoftext|>\n', b'tokens token tok', b' [X] x[X]x', '\u00a0\u3000\u180e\u200b'.encode()]


def write(folder, name, data):
    os.makedirs(os.path.join(HERE, folder), exist_ok=True)
    with open(os.path.join(HERE, folder, name), 'wb') as f:
        f.write(data if isinstance(data, bytes) else data.encode())


def cases(folder, tokenizer, rng):
    lines = []
    for i, text in enumerate(TEXTS + [fuzz.text(rng) for _ in range(150)]):
        special = 1 if i < len(TEXTS) else i % 2
        tokenizer.encode_special_tokens = not special
        ids = tokenizer.encode(text.decode(errors='replace'), add_special_tokens=False).ids
        lines.append(f"{text.hex() or '-'} {','.join(map(str, ids)) or '-'} {special}\n")
    write(folder, 'cases', ''.join(lines))


def compact(document):
    return json.dumps(document, ensure_ascii=False, separators=(',', ':'))


def main():
    rng = random.Random(20)
    whole, partial = fuzz.trained(rng, True, 420), fuzz.trained(rng, False, 420)

    t = Tokenizer.from_str(json.dumps(whole))
    t.add_special_tokens(['<|endoftext|>'])
    both = json.loads(t.to_str())
    both['model']['vocab']['<|endoftext|>'] = len(both['model']['vocab'])
    write('pair', 'vocab.json', compact(both['model']['vocab']))
    write('pair', 'merges.txt', '#version: 0.2\n' + ''.join(' '.join(m) + '\n' for m in both['model']['merges']))
    write('pair', 'tokenizer.json', compact(both))
    cases('pair', Tokenizer.from_str(json.dumps(both)), rng)

    t = Tokenizer.from_str(json.dumps(dict(whole, pre_tokenizer=dict(whole['pre_tokenizer'], add_prefix_space=True))))
    t.add_tokens([AddedToken('[X]', lstrip=True), AddedToken('tok', single_word=True), AddedToken('token', rstrip=True)])
    t.add_special_tokens([AddedToken('<|endoftext|>', special=True), AddedToken('é', special=True)])
    strings = json.loads(t.to_str())
    strings['model']['merges'] = [' '.join(m) for m in strings['model']['merges']]
    write('added', 'tokenizer.json', compact(strings))
    cases('added', t, rng)

    partial['model'].update(unk_token='<unk>', fuse_unk=True)
    partial['model']['vocab']['<unk>'] = len(partial['model']['vocab'])
    write('unknown', 'tokenizer.json', compact(partial))
    cases('unknown', Tokenizer.from_str(json.dumps(partial)), rng)

    if len(sys.argv) > 1:
        with open(sys.argv[1], encoding='utf-8') as f:
            vectors = json.load(f)['vectors']
        write('gpt2', 'cases', ''.join(f"{text.encode().hex() or '-'} {','.join(map(str, ids)) or '-'} 0\n"
            for text, ids in vectors))


if __name__ == '__main__':
    main()
