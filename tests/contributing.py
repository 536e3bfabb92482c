#!/usr/bin/env python3
"""The samples of docs/CONTRIBUTING.md are whole: each goes into a copy of the sources by one file and one line, the copy is
built, and what it adds gives the numbers it promises: contributing.py SOURCES."""
import os, re, shutil, subprocess, sys, tempfile
import xml.etree.ElementTree as xml

import h5py
import numpy as np

source = os.path.abspath(sys.argv[1])
folders = {'analysis': ('analysis', 'analysis_names'), 'view': ('views', 'view_names'),
    'dataset': ('datasets', 'dataset_names')}
promised = {'analysis/next_rank', 'analysis/distance', 'views/strip', 'datasets/opposites'}
if not shutil.which('meson') or not shutil.which('ninja'):
    sys.exit(77)


def must(is_so, what):
    if not is_so:
        sys.exit('FAILED: ' + what)


def run(*words, cwd=None):
    p = subprocess.run(words, cwd=cwd, capture_output=True, text=True)
    if p.returncode:
        sys.exit(f'FAILED: {" ".join(words)}\n{p.stdout[-4000:]}{p.stderr[-4000:]}')
    return p.stdout


def add_samples(copy):
    added = set()
    text = open(os.path.join(source, 'docs/CONTRIBUTING.md')).read()
    for code in re.findall(r'^```c\n(.*?)^```$', text, re.S | re.M):
        kind, name = re.search(r'^const struct (\w+) \1_(\w+) = \{$', code, re.M).groups()
        folder, names = folders[kind]
        with open(os.path.join(copy, folder, name + '.c'), 'x') as f:
            f.write(code)
        listed = os.path.join(copy, folder, 'meson.build')
        lines = open(listed).read()
        must(lines.count(names + ' = [\n') == 1, f'{folder}/meson.build has its list')
        open(listed, 'w').write(lines.replace(names + ' = [\n', f"{names} = [\n  '{name}',\n"))
        added.add(f'{folder}/{name}')
    must(added == promised, f'the samples are {sorted(added)}')


def blocks(path, run_name):
    with h5py.File(path) as f:
        return {k: v[()] for k, v in f[f'runs/{run_name}'].items() if isinstance(v, h5py.Dataset)}


def ranks_are_those_of_the_logits(sonde, folder):
    out = os.path.join(folder, 'rank.h5')
    run(sonde, 'run', 'next_rank,logits', '-p', 'Anna gave the ball to', '--next_rank.worst', '9', '-o', out)
    rank, logits = blocks(out, '000-next_rank/input_0')['rank'], blocks(out, '001-logits/input_0')['logits']
    with h5py.File(out) as f:
        tokens = f['inputs/tokens'][()]
        must(f['runs/000-next_rank'].attrs['param.worst'] == 9, 'the parameter is stamped')
    want = [min(9, int((row > row[t]).sum())) for row, t in zip(logits, tokens[1:])]
    must(max(want) == 9 and min(want) < 9, f'the ranks tell something: {want}')
    must(rank[:-1].tolist() == want and np.isnan(rank[-1]), f'ranks {rank} for {want}')


def distances_are_those_of_the_streams(sonde, folder):
    """Both prompts of a pair stand in the report's inputs; the streams come from an analysis of the house."""
    out = os.path.join(folder, 'distance.h5')
    run(sonde, 'run', 'distance', '--dataset', 'opposites:6', '-o', out)
    got = blocks(out, '000-distance')
    with h5py.File(out) as f:
        offsets, tokens = f['inputs/offsets'][()], f['inputs/tokens'][()]
        last = [tokens[a:b].tolist() for a, b in zip(offsets, offsets[1:])]
    must(len(last) == 12, 'six pairs are twelve prompts')
    streams = []
    for i, ids in enumerate(last):
        path = os.path.join(folder, f'stream{i}.h5')
        run(sonde, 'run', 'activations', '--filter', 'hook_resid_pre', '--tokens', ','.join(map(str, ids)), '-o', path)
        rows = {}
        with h5py.File(path) as f:
            f['runs'].visititems(lambda name, d: rows.update({name: d[-1]}) if isinstance(d, h5py.Dataset)
                and 'resid_pre' in name and d.ndim == 2 else None)
        streams.append(np.array([rows[k] for k in sorted(rows)], np.float64))
    want = np.array([np.linalg.norm(streams[2 * i] - streams[2 * i + 1], axis=1) for i in range(6)])
    must(want.shape == got['distance_by_input'].shape and (want[:, -1] > 0).all(), 'a row a pair, and they differ')
    must(np.allclose(got['distance_by_input'], want, rtol=1e-5, atol=1e-6), 'the distances')
    must(np.allclose(got['distance'], want.mean(0), rtol=1e-5), 'their mean')
    must(np.allclose(got['distance_se'], want.std(0, ddof=1) / 6 ** 0.5, rtol=1e-5), 'its standard error')


def dots_lie_where_the_values_are(sonde, folder):
    path, svg = os.path.join(folder, 'distance.h5'), os.path.join(folder, 'strip.svg')
    want = blocks(path, '000-distance')['distance']
    drawn = run(sonde, 'show', path, 'runs/000-distance/distance', '--view', 'strip', '--color', 'never')
    line = next((l for l in drawn.splitlines() if '●' in l), '')
    must(1 <= line.count('●') <= want.size and set(line) <= {'─', '●', ' '}, f'the line of dots: {drawn}')
    must('o' in run(sonde, 'show', path, 'runs/000-distance/distance', '--view', 'strip', '--ascii'), 'ASCII dots')
    run(sonde, 'export', path, 'runs/000-distance/distance', '--view', 'strip', '-o', svg)
    titles = [float(t.text) for r in xml.parse(svg).getroot().iter('{http://www.w3.org/2000/svg}rect')
        for t in r.iter('{http://www.w3.org/2000/svg}title')]
    must(np.allclose(sorted(titles), sorted(want), rtol=1e-6), f'exact values in the drawing: {titles}')


with tempfile.TemporaryDirectory() as folder:
    copy = os.path.join(folder, 'sonde')
    shutil.copytree(source, copy, symlinks=True, ignore=shutil.ignore_patterns('build*', '.git', '__pycache__'))
    add_samples(copy)
    house = subprocess.run(['bash', os.path.join(copy, 'tests/house.sh'), copy], capture_output=True, text=True).stdout
    faults = [l for l in house.splitlines() if 'FAULT' in l and any(n + '.c' in l for n in promised)]
    must('house: ' in house and not faults, f'the samples keep the rules of the house: {faults or house}')
    run('meson', 'setup', 'build', '-Doptimization=0', '-Ddebug=false', cwd=copy)
    said = run('ninja', '-C', 'build', 'app/sonde', cwd=copy)
    for name in promised:
        must(f'../{name}.c:' not in said, f'{name}.c compiles without a warning:\n{said[-4000:]}')
    sonde = os.path.join(copy, 'build/app/sonde')
    for what, name in (('analyses', 'next_rank'), ('analyses', 'distance'), ('views', 'strip'),
            ('datasets', 'opposites')):
        must(re.search(rf'^{name}\b', run(sonde, 'list', what), re.M), f'sonde list {what} has {name}')
    must('ranks end here' in run(sonde, 'run', 'next_rank', '--help'), 'help from the descriptor')
    ranks_are_those_of_the_logits(sonde, folder)
    distances_are_those_of_the_streams(sonde, folder)
    dots_lie_where_the_values_are(sonde, folder)
print('4 samples, as they stand')
