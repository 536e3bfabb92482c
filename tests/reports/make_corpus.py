"""Writes the corpus of the report reader's fuzz target: make_corpus.py WRITER (python3 with h5py)."""
import os
import subprocess
import sys

import h5py
import numpy as np

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'fuzz', 'corpus', 'report')
os.makedirs(folder, exist_ok=True)
subprocess.run([sys.argv[1], 'document', os.path.join(folder, 'document'), '3'], check=True)

with h5py.File(os.path.join(folder, 'foreign'), 'w') as f:  # the older file format, without checksums
    f['table'] = np.zeros(3, dtype=[('s', 'S5'), ('x', '<f8'), ('n', '>i2')])
    f['names'] = ['x', 'yz']
    f.create_dataset('zip', data=np.eye(9), compression='gzip', shuffle=True, chunks=(4, 4))
    f['a/b'] = np.arange(3, dtype='>f4')
    f['a/up'] = f['/']
    f['a/soft'] = h5py.SoftLink('/zip')

with h5py.File(os.path.join(folder, 'latest'), 'w', libver='latest') as f:
    for i in range(12):  # more links than a group keeps in its header
        f[f'g/d{i}'] = np.arange(i, dtype='i8')
    f.create_dataset('grows', data=np.zeros((3, 3)), maxshape=(None, None), chunks=(2, 2), fletcher32=True)
    f['g'].attrs['text'] = 'words'
