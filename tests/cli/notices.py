#!/usr/bin/env python3
"""What is almost surely a mistake is told in one line, and no column is NaN in silence: notices.py SONDE MODELS."""
import json, math, os, shutil, struct, subprocess, sys

from common import SONDE, TMP, check, finish

MODELS = os.path.abspath(sys.argv[2])


def sonde(*args, **kw):
    env = {**os.environ, 'SONDE_CONFIG': '/dev/null'}
    kw.setdefault('stdin', subprocess.DEVNULL)
    r = subprocess.run([SONDE, *args], capture_output=True, timeout=300, cwd=TMP, env=env, text=True, **kw)
    return r.returncode, r.stdout, r.stderr


def says(code, words, *args, **kw):
    """One line on standard error, with these words; what was printed besides."""
    rc, out, err = sonde(*args, **kw)
    lines = [l for l in err.splitlines() if l.startswith('sonde: ')]
    check(rc == code, f'{args}: exit {rc}, not {code}: {err[:300]!r}')
    check(len(lines) == 1 and all(w in lines[0] for w in words), f'{args}: {err!r} does not say {words}')
    return out


def silent(*args, **kw):
    rc, out, err = sonde(*args, **kw)
    check(rc == 0 and not err.strip(), f'{args}: exit {rc}, {err!r}')
    return out


def write(name, text):
    with open(f'{TMP}/{name}', 'w') as f:
        f.write(text)
    return name


# Pairs: all of them are an error, some of them a note that names the first.
same = ('--clean', 'Mara went to', '--corrupt', 'Mara went to')
other = ('--clean', 'Mara went to', '--corrupt', 'Tobin went to')
answers = ('--answer', ' the', '--wrong', ' a')
for analysis in ('patch', 'attr', 'edges', 'path'):
    says(2, ['same 4 tokens', 'differ in one thing'], 'run', analysis, *same, *answers)
    says(2, ['the same token', 'another wrong answer'], 'run', analysis, *other, '--answer', ' the', '--wrong', ' the')
# The same ids in other words are the same tokens.
says(2, ['same 2 tokens'], 'run', 'patch', '--clean', '[5, 6]', '--corrupt', '[5,6]', '--answer', '#7', '--wrong', '#8')
says(2, ['the same tokens'], 'run', 'patch', *other, '--answer', ' the', '--answer', ' a', '--wrong', ' a', '--wrong', ' the')
pair = lambda clean, corrupt, right, wrong: json.dumps(
    dict(clean=clean, corrupt=corrupt, answer=right, wrong_answer=wrong)) + '\n'
good = pair('Mara went to', 'Tobin went to', ' the', ' a')
write('prompts.jsonl', good + pair('Mara went to', 'Mara went to', ' the', ' a'))
write('answers.jsonl', good + good + pair('Mara went to', 'Tobin went to', ' the', ' the'))
says(0, ['1 of 2 pairs', 'prompts.jsonl:2', 'NaN'], 'run', 'patch', '--site', 'resid_pre', '-f', 'prompts.jsonl')
says(0, ['1 of 3 pairs', 'answers.jsonl:3', 'NaN'], 'run', 'attr', '-f', 'answers.jsonl')
silent('run', 'patch', '--site', 'resid_pre', *other, *answers)
silent('run', 'patch', '--site', 'resid_pre', *other, '--answer', ' the', '--metric', 'prob')

# A table is no prompt.
write('t.csv', 'text,label\nMara went to,1\n')
for verb in (('run', 'lens'), ('tokens',), ('generate',)):
    says(2, ['t.csv', '--lines', '.jsonl', '-f -'], *verb, '-f', 't.csv')
shutil.copy(f'{TMP}/t.csv', f'{TMP}/t.tsv')
says(2, ['t.tsv'], 'run', 'lens', '-f', 't.tsv')
check(len(silent('tokens', '-f', 't.csv', '--lines').splitlines()) == 2, '--lines takes each line')
with open(f'{TMP}/t.csv') as f:
    check(len(silent('tokens', '-f', '-', stdin=f).splitlines()) == 1, 'standard input is one text')
# An answer that lacks its blank, where with it there is a token; digits and marks go on as they stand.
to = ('run', 'patch', '--clean', 'Mara gave the lantern to', '--corrupt', 'Bram gave the lantern to', '--wrong', ' Mara')
says(0, ['"Tobin" without a blank', '" Tobin"', '1 of 1 pairs'], *to, '--answer', 'Tobin')
silent(*to, '--answer', ' Tobin')
says(0, ['unspaced.jsonl:2', '1 of 2 pairs'], 'run', 'patch', '-f', write('unspaced.jsonl',
     good + pair('Mara gave it to', 'Bram gave it to', 'Tobin', 'Mara')))
for name in ('greater_than_tiny', 'docstring_tiny', 'brackets_tiny'):
    write('own.jsonl', sonde('dataset', f'{name}:5')[1])
    silent('run', 'patch', '-f', 'own.jsonl', '-o', 'own.h5')
says(3, ['half.jsonl:1: corrupt is missing'], 'run', 'patch', '-f', write('half.jsonl', '{"clean": "Mara went to"}\n'))
# An estimate is a change, not a metric between two others.
for analysis, words in (('patch', 'corrupt 0 and clean 1'), ('attr', 'as a share of clean - corrupt')):
    out = silent('run', analysis, *other, *answers)
    check(words in out and ('as a share' in out) == (analysis == 'attr'), f'{analysis}: normalised otherwise')
# Paths that no model has.
says(2, ['a3.h1', 'a0.h1<v>', 'no path'], 'run', 'path', *other, *answers, '--senders', 'a3.h1', '--receivers', 'a0.h1')
# A graph that is higher than its place says so.
out = silent('run', 'edges', *other, *answers, '--top', '1000', '--no-curve')
check('lines 1 to ' in out, 'edges: lines that are left out are not told')
# Tables of pairs are read by their header.
write('pairs.csv', 'clean,corrupt,answer,wrong_answer\nMara went to,Tobin went to, the, a\n')
silent('run', 'patch', '--site', 'resid_pre', '-f', 'pairs.csv')

# A graph whose edges have no scores is measured, and the column of NaN is told.
silent('run', 'edges', *other, *answers, '--top', '20', '--graph-out', 'g.json')
graph = json.load(open(f'{TMP}/g.json'))
kept = [k for k, e in graph['edges'].items() if e['in_graph']]
silent('run', 'edges', *other, *answers, '--graph-in', 'g.json')
graph['edges'][kept[0]]['score'] = math.nan
write('nan.json', json.dumps(graph))
says(0, [f'1 of {len(kept)} edges', kept[0], 'NaN'], 'run', 'edges', *other, *answers, '--graph-in', 'nan.json')
graph['edges'][kept[0]]['score'] = 1e300
write('inf.json', json.dumps(graph))
says(3, [kept[0], 'beyond fp32'], 'run', 'edges', *other, *answers, '--graph-in', 'inf.json')


# Weights that are not finite are named wherever they are used.
def damaged(model, tensor, index, value):
    """A copy of a model with one element of a tensor replaced, and its flat index in the tensor."""
    to = f'{TMP}/{model}-{tensor}'
    shutil.copytree(f'{MODELS}/{model}', to)
    with open(f'{to}/model.safetensors', 'r+b') as f:
        n = struct.unpack('<Q', f.read(8))[0]
        header = json.loads(f.read(n))
        t = next(v for k, v in header.items() if k.removeprefix('transformer.') == tensor)
        size = {'F32': 4, 'F16': 2, 'BF16': 2}[t['dtype']]
        f.seek(8 + n + t['data_offsets'][0] + index * size)
        raw = struct.pack('<f', value) if size == 4 else struct.pack('<e', value)
        f.write(struct.pack('<f', value)[2:] if t['dtype'] == 'BF16' else raw)
    return to, t['shape']


for model, tensor, index, value in (('deep', 'h.1.mlp.c_fc.weight', 7, math.nan),
                                    ('f16', 'h.0.attn.c_attn.weight', 3, math.inf),
                                    ('bf16', 'h.0.mlp.c_proj.weight', 0, math.nan),
                                    ('deep', 'h.0.ln_1.bias', 1, -math.inf),
                                    ('deep', 'ln_f.weight', 0, math.nan)):
    where, shape = damaged(model, tensor, index, value)
    place = f'[{index // shape[1]}, {index % shape[1]}]' if len(shape) > 1 else f'[{index}]'
    out = says(0, [tensor, '1 value', place, 'NaN'], 'run', 'logits', '-m', where, '--tokens', '1,2,3')
    says(0, [tensor, place], 'run', 'patch', '--site', 'resid_pre', '-m', where, '--clean', '[1, 2]', '--corrupt', '[1, 3]',
         '--answer', '#4', '--wrong', '#5')
    rc, out, err = sonde('doctor', '-m', where)
    line = next((l for l in out.splitlines() if l.startswith('FAIL') and 'weights' in l), '')
    check(rc == 1 and tensor in line and place in line, f'doctor: {out!r} {err!r}')
silent('run', 'logits', '-m', f'{MODELS}/deep', '--tokens', '1,2,3')
# Finite weights, and a sum beyond fp32.
says(0, ['logits of input 0', 'edit'], 'run', 'logits', '-m', f'{MODELS}/deep', '--tokens', '1,2,3', '--edit',
     'L0.resid_pre=scale:1e38', '--edit', 'L1.resid_pre=scale:1e38')

finish()
