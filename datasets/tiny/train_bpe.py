#!/usr/bin/env python3
"""Trains the byte-level BPE of the embedded model: vocab.json and merges.txt in GPT-2's format.

usage: train_bpe.py CORPUS.jsonl REQUIRED.txt N_MERGES OUT_DIR

CORPUS.jsonl has a document a line (field "text", ASCII). REQUIRED.txt has a word a line that must be
one token with a leading space; names also without one. Equal input gives equal output.

Numbers are not left to chance: the first merges make " 11" .. " 18" and the hundred pairs of digits,
so that a year is two tokens, its century and its year within it. Brackets and quotes never merge
with each other, so that each closes by a token of its own.
"""
import collections
import heapq
import json
import re
import sys

PIECES = re.compile(
    r"'(?:[sdmt]|ll|ve|re)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")


def byte_names():
    """GPT-2's printable name of every byte, in the order of their ids."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in plain]
    names = {b: chr(b) for b in plain}
    names.update({b: chr(256 + i) for i, b in enumerate(rest)})
    return [names[b] for b in plain + rest], names


def trainable(piece):
    """The parts of a piece within which merges are counted."""
    if piece.lstrip(" ")[:1].isdigit():
        return []
    if piece.strip() and not piece.lstrip(" ")[:1].isalpha() and piece[0] != "'":
        return [piece[:2]] if piece[0] == " " else []
    return [piece]


def count_words(path, names):
    counts = collections.Counter()
    with open(path, encoding="ascii") as f:
        for line in f:
            for piece in PIECES.findall(json.loads(line)["text"]):
                counts[piece] += 1
    words = collections.Counter()
    for piece, n in counts.items():
        for part in trainable(piece):
            words[tuple(names[b] for b in part.encode())] += n
    return words


def apply_merge(symbols, pair):
    out, i = [], 0
    while i < len(symbols):
        if i + 1 < len(symbols) and (symbols[i], symbols[i + 1]) == pair:
            out.append(pair[0] + pair[1])
            i += 2
        else:
            out.append(symbols[i])
            i += 1
    return out


def fixed_merges(names):
    space = names[32]
    merges = [(space, "1")] + [(space + "1", d) for d in "12345678"]
    return merges + [(a, b) for a in "0123456789" for b in "0123456789"]


def learn(words, merges, n_merges):
    """Appends the most frequent pair, ties to the smaller in code point order, n_merges times."""
    spelled = [list(w) for w in words]
    weight = list(words.values())
    count, where = collections.Counter(), collections.defaultdict(set)

    def account(i, sign):
        for pair in zip(spelled[i], spelled[i][1:]):
            count[pair] += sign * weight[i]
            where[pair].add(i)
            touched.add(pair)

    touched = set()
    for i in range(len(spelled)):
        account(i, 1)
    heap = [(-n, pair) for pair, n in count.items()]
    heapq.heapify(heap)
    while len(merges) < n_merges:
        n, pair = heapq.heappop(heap)
        if count[pair] != -n or n == 0:
            continue  # an old entry
        merges.append(pair)
        touched = set()
        for i in sorted(where.pop(pair)):
            account(i, -1)
            spelled[i] = apply_merge(spelled[i], pair)
            account(i, 1)
        for changed in touched:
            heapq.heappush(heap, (-count[changed], changed))


def encode(word, merges):
    rank = {m: i for i, m in enumerate(merges)}
    symbols = list(word)
    while len(symbols) > 1:
        pair = min(zip(symbols, symbols[1:]), key=lambda p: rank.get(p, len(rank)))
        if pair not in rank:
            break
        symbols = apply_merge(symbols, pair)
    return symbols


def require(path, merges, names):
    """Adds what is missing to make every required word one token. These merges come last, so that
    they do not get in the way of a learned one."""
    added = 0
    with open(path, encoding="ascii") as f:
        for word in f.read().split():
            for text in (" " + word, word) if word[0].isupper() else (" " + word,):
                symbols = encode([names[b] for b in text.encode()], merges)
                while len(symbols) > 1:
                    merges.append((symbols[0], symbols[1]))
                    added += 1
                    symbols = encode([names[b] for b in text.encode()], merges)
    return added


def main():
    corpus, required, n_merges, out = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    alphabet, names = byte_names()
    words = count_words(corpus, names)
    merges = fixed_merges(names)
    learn(words, merges, n_merges)
    added = require(required, merges, names)
    tokens = alphabet + [a + b for a, b in merges] + ["<|endoftext|>"]
    if len(set(tokens)) != len(tokens):
        sys.exit("train_bpe.py: two merges make the same token")
    with open(out + "/vocab.json", "w", encoding="utf-8") as f:
        json.dump({t: i for i, t in enumerate(tokens)}, f, ensure_ascii=False)
    with open(out + "/merges.txt", "w", encoding="utf-8") as f:
        f.write("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    print(f"{len(words)} words, {len(merges)} merges ({added} added for required words), "
          f"{len(tokens)} tokens")


if __name__ == "__main__":
    main()
