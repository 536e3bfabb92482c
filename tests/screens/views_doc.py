"""The screens of docs/views.md are what the program prints: every block that begins with "$ sonde" is run
again and compared. With --write the page gets the new ones, for a reviewer to read.
usage: views_doc.py SONDE PAGE [--write]"""
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np


def make(folder):
    """Files that no model is needed for."""
    with h5py.File(folder / 'landscape.h5', 'w') as f:
        y, x = np.mgrid[-1.5:1.5:31j, -1.5:1.5:41j]
        f['loss'] = (2.4 + (x ** 2 - 1) ** 2 + 1.5 * (y - 0.4 * x) ** 2).astype('f4')
        steps = np.arange(600)
        train = 1.2 + 6 * np.exp(-steps / 60)
        held = 1.6 + 5.6 * np.exp(-steps / 70)
        held[240:280] = np.nan
        f['losses'] = np.stack([train, held]).astype('f4')
        f['score'] = np.array([0.62, -0.21, 0.05, 0.44, -0.57, 0.11], 'f4')
        f['score_se'] = np.array([0.08, 0.05, 0.09, 0.12, 0.07, 0.02], 'f4')


def screens(text):
    """(whole match, command, output) of every block."""
    return [(m[0], m[1], m[2]) for m in re.finditer(r'```\n\$ (sonde [^\n]*)\n(.*?)```\n', text, re.S)]


def main():
    program, page, write = Path(sys.argv[1]).resolve(), Path(sys.argv[2]), '--write' in sys.argv
    text = page.read_text()
    env = dict(os.environ, COLUMNS='84', NO_COLOR='1')
    bad = 0
    with tempfile.TemporaryDirectory() as name:
        make(Path(name))
        found = screens(text)
        for whole, command, was in found:
            r = subprocess.run([program, *shlex.split(command)[1:]], cwd=name, env=env, capture_output=True)
            now = r.stdout.decode().lstrip('\n')
            if r.returncode:
                print(command, r.stderr.decode(), sep='\n')
                bad += 1
            elif now != was and write:
                text = text.replace(whole, f'```\n$ {command}\n{now}```\n')
            elif now != was:
                print(f'{command}\nthe page has\n{was}\nthe program prints\n{now}')
                bad += 1
    if write:
        page.write_text(text)
    print(f'{len(found)} screens, {bad} differ')
    return 1 if bad or not found else 0


if __name__ == '__main__':
    sys.exit(main())
