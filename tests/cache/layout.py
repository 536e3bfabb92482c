#!/usr/bin/python3
"""sonde cache as others see it: layout.py SONDE MODELS. Rows against a slow reference of windows, strides and
positions; values against the forward pass, byte for byte; F16 against numpy's rounding; the file by h5py alone."""
import gzip
import json
import os
import random
import subprocess

from common import *

rng = random.Random(5)
SITES = 'hook_resid_post|attn.hook_pattern|attn_scores|hook_z|mlp.hook_post|ln_final|hook_embed'
TEXTS = [text(rng, n) for n in (3, 40, 0, 1, 90, 12)] + ['', 'naïve \U0001f642 café — end']


def activations(sequences, model='tiny'):
    """Every site of every sequence, from forward passes of their own."""
    ids = ';'.join(','.join(map(str, s)) for s, _ in sequences)
    sonde('run', 'activations', '-m', model, '--tokens', ids, '--filter', SITES, '-o', 'acts-run.h5')
    with h5py.File(path('acts-run.h5')) as f:
        run = f['runs/000-activations']
        return [{k: d[()] for k, d in run[f"input_{i}"].items() if isinstance(d, h5py.Dataset)} for i in range(len(sequences))]


def compare(name, documents, bos, window, stride, dtype):
    rows, offsets, window_offsets, sequences = reference(documents, bos, window, stride)
    with h5py.File(path(name)) as f:
        check(f.attrs['schema'] == 'sonde-acts' and f.attrs['schema_version'] == 1, f'{name}: schema')
        for k, want in rows.items():
            check(f[k][()].tolist() == want, f'{name}: {k}')
        check(f['offsets'][()].tolist() == offsets, f'{name}: offsets')
        check(f['window_offsets'][()].tolist() == window_offsets, f'{name}: window_offsets')
        some = sorted(rng.sample(range(len(sequences)), min(len(sequences), 40)))
        want = activations([sequences[i] for i in some])
        names = {k for w in want for k in w}
        check(set(f['acts']) == names, f'{name}: hooks {set(f["acts"]) ^ names}')
        for hook, d in f['acts'].items():
            values = d[()]
            check(values.dtype == dtype and values.shape[0] == len(rows['tokens']), f'{name}: {hook} {values.dtype}')
            square = hook.endswith(('pattern', 'attn_scores'))
            worst = 0
            for i, one in zip(some, want):
                begin, end, (sequence, kept), x = *window_offsets[i:i + 2], sequences[i], one[hook]
                if square:  # [head, query, key] becomes [query, head, window]
                    full = np.full((len(sequence), x.shape[0], window), np.nan, 'f4')
                    full[:, :, :len(sequence)] = x.transpose(1, 0, 2)
                    x = full
                x = x[kept]
                have = values[begin:end].reshape(x.shape)
                worst += np.array(have).tobytes() != x.astype(dtype).tobytes() and not (
                    square and np.array_equal(have, x.astype(dtype), equal_nan=True))
            check(not worst, f'{name}: {hook}: {worst} windows differ')


documents = [d for d in tokens([t for t in TEXTS])]
# BOS is what <|endoftext|> stands for.
BOS = json.loads(sonde('tokens', '-p', '<|endoftext|>').stdout)['ids'][-1]
write_jsonl('c.jsonl', TEXTS)
for window, stride, bos, dtype in ((256, None, True, 'f4'), (16, None, True, 'f2'), (16, 5, True, 'f4'), (16, 15, True, 'f4'),
                                   (16, 1, True, 'f2'), (7, 3, False, 'f4'), (2, None, True, 'f4'), (1, None, False, 'f4')):
    name = f'w{window}-{stride}-{bos}.h5'
    args = ['--window', window] + (['--stride', stride] if stride else []) + ([] if bos else ['--no-prepend-bos'])
    sonde('cache', '-f', 'c.jsonl', '--filter', SITES, '--dtype', dtype.replace('f4', 'f32').replace('f2', 'f16'), '-o', name, *args)
    if check(os.path.exists(path(name)), f'{name} is there'):
        compare(name, documents, BOS if bos else None, window, stride, np.dtype(dtype))
    sonde('cache', 'verify', name)

# Several shards, made from several kinds of file, hold the same rows as one.
open(path('c.txt'), 'w').write(TEXTS[4])
gzip.open(path('c.txt.gz'), 'wb').write(TEXTS[4].encode())
with open(path('c.zst'), 'wb') as f:
    have_zstd = subprocess.run(['zstd', '-qc', path('c.txt')], stdout=f).returncode == 0 if any(
        os.access(os.path.join(p, 'zstd'), os.X_OK) for p in os.environ['PATH'].split(':')) else False
sources = [['-f', 'c.txt'], ['-f', 'c.txt.gz'], ['-p', TEXTS[4]], ['-f', '-']] + ([['-f', 'c.zst']] if have_zstd else [])
for i, source in enumerate(sources):
    sonde('cache', *source, '--filter', 'hook_resid_post', '--window', 32, '--shard-tokens', 40, '-o', f's{i}.h5', input=TEXTS[4] if '-' in source else None,
          **({'stdin': None} if '-' in source else {}))
    check({k.replace(f's{i}.', 's.'): v for k, v in files(f's{i}').items() if k} == {k: v for k, v in files('s0').items() if k}, f'{source[:2]}: other bytes')
with h5py.File(path('s0.h5')) as f:
    check(len(f['shards']) > 2 and list(f['shards']['token_end'][:-1]) == list(f['shards']['token_begin'][1:]), 'shards follow one another')
    check(f['shards'].dtype.names == ('file', 'token_begin', 'token_end', 'run_id', 'crc'), 'shard table')
    check(max(f['shards']['token_end'] - f['shards']['token_begin']) <= 40, 'rows of a shard')
    check(f['text'][0].decode() == TEXTS[4] and f['offsets'][()].tolist() == [0, f['tokens'].shape[0]], 'text and offsets over shards')
    d = f['acts/blocks.0.hook_resid_post']
    check(d.dims[0].label == 'token' and d.dims[1].label == 'd_model' and 'unit' in d.attrs and 'long_name' in d.attrs, 'axes and attributes')
    check(d.is_virtual and np.isfinite(d[()]).all(), 'a virtual dataset over all shards')
    whole = d[()]
# A joined cache opens like any file: whole, cut, folded, with the names of its axes.
hook = 'acts/blocks.0.hook_resid_post'
for args, want in (([], whole), (['--slice', 'token=30:50'], whole[30:50]), (['--slice', 'token=45,d_model=1:4'], whole[45, 1:4]),
                   (['--reduce', 'mean', '--along', '0'], whole.astype('f8').mean(0))):
    sonde('export', 's0.h5', hook, *args, '--npy', '-o', 'part.npy')
    have = np.load(path('part.npy'))
    check(have.shape == want.shape and np.allclose(have, want, rtol=1e-6, atol=1e-6), f'export {args}')
check(sonde('export', 's0.h5', hook, '--csv', '--slice', 'token=45:47').stdout.split(',')[0] == 'token', 'export names the axes')
out = sonde('show', 's0.h5', hook, '--slice', '0:9,0:9').stdout
check('token' in out and 'dim_0' not in out, 'show draws a joined cache')
check(hook in sonde('show', 's0.h5').stdout, 'show lists the hooks')
os.rename(path('s0.acts/shard_00001.h5'), path('aside.h5'))
check('shard_00001.h5' in sonde('export', 's0.h5', hook, '--npy', code=3).stderr, 'a missing shard is no fill value')
sonde('export', 's0.h5', 'tokens', '--csv')
os.rename(path('aside.h5'), path('s0.acts/shard_00001.h5'))
os.rename(path('s0.acts'), path('moved.acts'))
for r in (sonde('export', 's0.h5', hook, '--npy', code=3), subprocess.run([SONDE, 'cache', 'verify', path('s0.h5')], capture_output=True, text=True, env=ENV)):
    check('"folder"' in r.stdout + r.stderr and 'sonde cache join' in r.stdout + r.stderr, f'a renamed folder: {r.stderr!r}')
os.rename(path('moved.acts'), path('s0.acts'))
for i in range(len(os.listdir(path('s0.acts'))) - 1):
    with h5py.File(path(f's0.acts/shard_{i:05d}.h5')) as f:
        d = f['acts/blocks.0.hook_resid_post']
        check(d.id.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS and d.id.get_offset(), 'contiguous')
        check(f['block_crc'].shape == (-(-d.shape[0] // 256), 5) and (f['block_crc'][()] != 0).all(), 'block_crc')
        check(np.array_equal(d[()], whole[f.attrs['token_begin']:f.attrs['token_end']]), 'shard and whole')

# A document longer than what meets the tokenizer at once has the tokens of the whole.
long = '\n'.join(text(rng, 60) + (' ' * rng.randint(0, 3)) for _ in range(8000))
open(path('long.txt'), 'w').write(long)
check(len(long) > 2 << 20, f'long text: {len(long)}')
sonde('cache', '-f', 'long.txt', '--filter', 'ln_final.hook_scale', '--max-tokens', 200, '-o', 'cut.h5')
sonde('cache', '-f', 'long.txt', '--filter', 'ln_final.hook_scale', '--window', 9, '--max-tokens', 30000, '-o', 'long.h5')
ids = tokens([long])[0]
with h5py.File(path('long.h5')) as f:
    keep = f['position'][()] > 0
    have = f['tokens'][()][keep]
    check(have.tolist() == ids[0][:30000], 'a long text: tokens')
    check(np.column_stack([f['text_begin'][()], f['text_end'][()]])[keep].tolist() == ids[1][:30000], 'a long text: spans')
    check(f['shards'].shape[0] == 1, 'one shard')
with h5py.File(path('cut.h5')) as f:
    check((f['position'][()] > 0).sum() == 200, '--max-tokens')

# Ids are documents without BOS and text.
sonde('cache', '--tokens', '5,6,7;8', '-p', 'Mara', '--filter', 'hook_embed', '-o', 'ids.h5')
with h5py.File(path('ids.h5')) as f:
    mara = [BOS] + json.loads(sonde('tokens', '-p', 'Mara').stdout)['ids']
    check(f['tokens'][()].tolist() == mara + [5, 6, 7, 8], 'ids behind texts')
    check(f['position'][()].tolist() == list(range(len(mara))) + [0, 1, 2, 0], 'ids: positions')
    check([t.decode() for t in f['text'][()]] == ['Mara', '', ''], 'ids: no text')

# Special tokens are plain text unless asked for; a NUL in a text is kept as a blank.
for flag, one in (([], False), (['--parse-special'], True)):
    sonde('cache', '-p', 'a<|endoftext|>b', '--filter', 'hook_embed', '-o', 'special.h5', '--overwrite', *flag)
    with h5py.File(path('special.h5')) as f:
        check((f['tokens'][1:] == BOS).any() == one, f'special tokens {flag}')
write_jsonl('nul.jsonl', ['a\0b c'])
sonde('cache', '-f', 'nul.jsonl', '--filter', 'hook_embed', '-o', 'nul.h5')
with h5py.File(path('nul.h5')) as f:
    check(f['text'][0] == b'a b c' and f['text_end'][-1] == 5, 'a NUL')

# Mistakes.
for args, code in ((['--filter', 'resid_pst', '-p', 'a', '-o', 'x.h5'], 2), (['--filter', '(', '-p', 'a', '-o', 'x.h5'], 2),
                   (['--filter', 'embed', '-p', 'a', '-o', 'x.hdf'], 2), (['--filter', 'embed', '-p', 'a'], 2), (['-p', 'a', '-o', 'x.h5'], 2),
                   (['--filter', 'embed', '-o', 'x.h5'], 2), (['--filter', 'embed', '-p', 'a', '-o', 'x.h5', '--window', '9', '--stride', '9'], 2),
                   (['--filter', 'embed', '-p', 'a', '-o', 'x.h5', '--window', '1'], 2), (['--filter', 'embed', '-p', 'a', '-o', 'x.h5', '--window', '5000'], 2),
                   (['--filter', 'embed', '-f', 'no-such.txt', '-o', 'x.h5'], 3), (['--filter', 'embed', '-p', '', '-o', 'x.h5'], 3),
                   (['--filter', 'embed', '-p', 'a', '-o', '/no/such/x.h5'], 5), (['--filter', 'embed', '-p', 'a', '-o', 'x.h5', '--shard', '2/2'], 2),
                   (['verify', 'c.jsonl'], 3), (['verify', 'no-such.h5'], 3), (['join', 'x.h5'], 2), (['frobnicate'], 2)):
    sonde('cache', *args, code=code)
check('hook_resid_post' in sonde('cache', '--filter', 'resid_pst', '-p', 'a', '-o', 'x.h5', code=2).stderr, 'near names')
check(not any(n.startswith('x.') for n in os.listdir(TMP)), f'nothing is left of what was refused: {os.listdir(TMP)}')
finish()
