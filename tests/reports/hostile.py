"""Files that lie, are cut short or belong to somebody else: one clear line, or what can be shown.

    hostile.py WRITER READER      (python3 with numpy and h5py)
"""
import os
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy as np

WRITER, READER = (os.path.abspath(sys.argv.pop(1)) for _ in range(2))


def read(*args):
    # libhdf5 itself loses memory on some damaged files; the leaks of our own code are looked for on
    # good ones (test_good, and the open-and-close test of the document).
    options = os.environ.get('ASAN_OPTIONS', '') + (':detect_leaks=0' if args[0] == '--flip' else '')
    r = subprocess.run([READER, *map(str, args)], capture_output=True, text=True, timeout=300,
                       env={**os.environ, 'ASAN_OPTIONS': options})
    return r


class Hostile(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix='sonde-')
        self.addCleanup(self.folder.cleanup)
        self.path = os.path.join(self.folder.name, 'r.h5')
        subprocess.run([WRITER, 'document', self.path], check=True)

    def answer(self, path=None):
        r = read(path or self.path)
        self.assertEqual((r.returncode, r.stderr), (0, ''))
        self.assertEqual(len(r.stdout.splitlines()), 1)
        return r.stdout.strip()

    def refused(self, *words, path=None):
        a = self.answer(path)
        self.assertTrue(a.startswith(('3 ', '4 ')), a)
        for w in words:
            self.assertIn(w, a)

    def edit(self):
        return h5py.File(self.path, 'r+')

    def test_good(self):
        self.assertEqual(self.answer(), 'ok 1 9')

    def test_cut_short(self):
        r = read('--cut', self.path, 400)
        self.assertEqual((r.returncode, r.stderr), (0, ''), r)
        self.assertEqual(r.stdout.split(), ['0', '400'])  # never taken for whole

    def test_flipped_bits(self):
        r = read('--flip', self.path, 1000, 7)
        self.assertEqual((r.returncode, r.stderr), (0, ''), r)
        fine, found = map(int, r.stdout.split())
        self.assertEqual(fine + found, 1000)
        self.assertGreater(found, 160)  # checksums see them,
        self.assertGreater(fine, 160)  # and much of a small file is not used

    def test_flipped_bits_of_a_large_group(self):
        """Where libhdf5 1.10 gives up on one with a wrong checksum it frees what it never had."""
        with h5py.File(self.path, 'r+', libver='latest') as f:
            run = f['runs'][next(iter(f['runs']))]
            name = next(k for k in run if isinstance(run[k], h5py.Dataset))
            for i in range(40):
                run.copy(name, f'{name}_{i}')
        r = read('--flip', self.path, 500, 11)
        self.assertEqual((r.returncode, r.stderr), (0, ''), r)
        self.assertEqual(sum(map(int, r.stdout.split())), 500)

    def test_not_hdf5(self):
        for data in (b'', b'x', b'\x89HDF\r\n\x1a\n', b'\x89HDF\r\n\x1a\n' + bytes(2000), os.urandom(5000)):
            with open(self.path, 'wb') as f:
                f.write(data)
            self.refused('r.h5')
        self.refused(path='/no/such.h5')
        self.refused('not a file', path='/dev/null')

    def test_versions(self):
        with self.edit() as f:
            f.attrs['schema_version'] = 2
        self.refused('version 2', 'version 1')
        with self.edit() as f:
            f.attrs['schema_version'] = 'one'
        self.refused('version')

    def test_unknown_things_are_passed_over(self):
        with self.edit() as f:
            f.create_group('later/than/this')
            f['runs/000-lens'].create_group('extra')['x'] = 1
            f['runs/000-lens'].create_group('input_99')['x'] = 1
            f['runs'].attrs['odd'] = np.zeros((3, 3))
            f['runs/000-lens'].attrs['odd'] = np.zeros((3, 3))
            f['runs/000-lens'].attrs['complex'] = 1j
            f['runs/000-lens/input_0/entropy'].attrs['unit'] = 7
        self.assertEqual(self.answer(), 'ok 1 9')

    def test_links_are_not_followed(self):
        with self.edit() as f:
            f['runs/000-lens/soft'] = h5py.SoftLink('/runs/000-lens/loss')
            f['runs/000-lens/loop'] = h5py.SoftLink('/runs/000-lens/loop')
            f['runs/000-lens/out'] = h5py.ExternalLink('/etc/passwd', '/')
            f['runs/000-lens/input_0/up'] = f['runs']
            f['runs/again'] = f['runs']
        self.assertEqual(self.answer(), 'ok 2 9')

    def test_cycles_in_foreign_files(self):
        with h5py.File(self.path, 'w') as f:
            a = f.create_group('a')
            a['b'] = a
            a['root'] = f
            a['x'] = np.arange(3)
            f.create_group('/'.join('d' * 60))['deep'] = 1
        self.assertEqual(self.answer(), 'ok 1 1')

    def test_sizes(self):
        for shape in ((2 ** 62,), (2 ** 40, 2 ** 40), (2 ** 21, 2 ** 21, 2 ** 21)):
            with self.edit() as f:
                g = f['runs/000-lens']
                if 'huge' in g:
                    del g['huge']
                dcpl = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
                dcpl.set_chunk((16,) * len(shape))
                h5py.h5d.create(g.id, b'huge', h5py.h5t.IEEE_F64LE, h5py.h5s.create_simple(shape), dcpl)
            self.refused('huge')

    def test_missing_values_are_read_in_windows(self):
        with self.edit() as f:
            f['runs/000-lens'].create_dataset('wide', (2 ** 30, 2 ** 20), 'f4', chunks=(64, 64))
            f['runs/000-lens'].create_dataset('long', (2 ** 40,), 'i8', chunks=(1024,))
        self.assertEqual(self.answer(), 'ok 1 11')

    def test_chunks(self):
        with self.edit() as f:
            d = f['runs/000-lens'].create_dataset('fat', (2 ** 28,), 'f4', chunks=(2 ** 28,), compression='gzip')
            d.id.write_direct_chunk((0,), bytes(1000))
        self.refused('fat')

    def test_ranks_and_types(self):
        for make in (lambda g: g.create_dataset('odd', (1,) * 7, 'f4'), lambda g: g.create_dataset('odd', (2,), '(3,)f4'),
                     lambda g: g.create_dataset('odd', (2,), 'V9'), lambda g: g.create_dataset('odd', (), h5py.ref_dtype),
                     lambda g: g.create_dataset('odd', data=h5py.Empty('f4')),
                     lambda g: g.create_dataset('odd', (2, 2), np.dtype([('a', 'f4')]))):
            with self.edit() as f:
                if 'odd' in f['runs/000-lens']:
                    del f['runs/000-lens/odd']
                make(f['runs/000-lens'])
            self.refused('odd')

    def test_inputs_that_lie(self):
        for name, values in (('offsets', [0, 4, 6]), ('offsets', [0, 5, 4]), ('offsets', [-1, 4, 5]),
                             ('offsets', [0.0, 4.0, 5.0]), ('tokens', ['a'] * 5), ('token_str', [1] * 5), ('text', [b'x'])):
            subprocess.run([WRITER, 'document', self.path], check=True)
            with self.edit() as f:
                del f['inputs'][name]
                f['inputs'][name] = values
            self.refused('inputs/' + name)
        with self.edit() as f:
            del f['inputs/tokens']
            f['inputs'].create_dataset('tokens', (2 ** 40,), 'i4', chunks=(1024,))
        self.refused('inputs/tokens')

    def test_labels_that_lie(self):
        with self.edit() as f:
            g = f['runs/000-lens']
            for n, values in enumerate((['a'], np.zeros((5, 5)), np.zeros(5, 'c8'))):
                s = g['axes'].create_dataset(f's{n}', data=values)
                s.make_scale()
                d = g.create_dataset(f'd{n}', data=np.zeros(5, 'f4'))
                d.dims[0].attach_scale(s)
            d = g.create_dataset('d9', data=np.zeros(5, 'f4'))
            d.attrs['DIMENSION_LIST'] = 'nothing'
            d.attrs['DIMENSION_LABELS'] = [1, 2, 3]
        self.assertEqual(self.answer(), 'ok 1 13')

    def test_strings_that_lie_about_their_length(self):
        """libhdf5 copies what the heap holds into what the reference asks for."""
        for n, claim in enumerate((0, 1, 3, 4999, 5001, 100000, 0xffffffff)):
            with h5py.File(self.path, 'w') as f:
                f['s'] = ['q' * 5000, 'r', 'ab']
                f.create_dataset('t', (3,), np.dtype([('x', 'f4'), ('s', h5py.string_dtype())]), chunks=(3,))
                f['t'][0] = (1, 'q' * 5000)
                f.create_dataset('chunked', (3,), h5py.string_dtype(), chunks=(3,))
                f['chunked'][:] = ['q' * 5000, 'r', 'ab']
            self.assertEqual(self.answer(), 'ok 1 3')
            with h5py.File(self.path, 'r+') as f:
                d = f['t' if n % 2 else 'chunked']
                raw = bytearray(d.id.read_direct_chunk((0,))[1])
                at = 4 if n % 2 else 0
                self.assertEqual(int.from_bytes(raw[at:at + 4], 'little'), 5000)
                raw[at:at + 4] = claim.to_bytes(4, 'little')
                d.id.write_direct_chunk((0,), bytes(raw))
            if claim:
                self.refused()
            else:
                self.assertEqual(self.answer(), 'ok 1 3')

    def test_heaps_that_lie(self):
        with open(self.path, 'rb') as f:
            good = f.read()
        heaps = [i for i in range(0, len(good) - 4) if good[i:i + 4] == b'GCOL']
        self.assertTrue(heaps)
        for size in (0, 8, 15, 16, 4095, 2 ** 31, 2 ** 63, 2 ** 64 - 1):
            data = bytearray(good)
            for h in heaps:
                data[h + 8:h + 16] = size.to_bytes(8, 'little')  # of the collection
            with open(self.path, 'wb') as f:
                f.write(data)
            self.refused()
        for size in (1, 2 ** 31, 2 ** 64 - 1, 2 ** 64 - 16):
            data = bytearray(good)
            for h in heaps:
                data[h + 24:h + 32] = size.to_bytes(8, 'little')  # of its first object
            with open(self.path, 'wb') as f:
                f.write(data)
            self.refused()

    def test_a_bomb_of_strings(self):
        """A thousand references to one string of a megabyte: what is read is bounded by the file."""
        with h5py.File(self.path, 'w') as f:
            d = f.create_dataset('s', (1000,), h5py.string_dtype(), chunks=(1000,))
            d[0] = 'x' * (1 << 20)
            d.id.flush()
            one = d.id.read_direct_chunk((0,))[1][:16]
            d.id.write_direct_chunk((0,), one * 1000)
        p = subprocess.Popen([READER, self.path], stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(p.pid, 0)
        p.returncode = 0
        self.assertEqual(status, 0)
        self.assertLess(used.ru_maxrss, 400 << 10)

    def test_foreign_files_are_shown(self):
        with h5py.File(self.path, 'w') as f:
            f['acts/blocks.0.hook_resid_post'] = np.ones((5, 4), 'f2')
            f['big_endian'] = np.arange(3, dtype='>i4')
            f['words'] = np.array([b'ab', b'c'])
            f['names'] = ['x', 'yz']
            f['one'] = 'single'
            f['table'] = np.zeros(3, dtype=[('s', 'S5'), ('x', '<f8'), ('n', '>i2'), ('sub', '<f4', (2,)), ('b', '?')])
            f.create_dataset('zip', data=np.zeros((300, 300)), compression='gzip', shuffle=True)
            f['complex'] = np.zeros(2, 'c16')
            f.create_dataset('strange', (2,), 'V5')
            f['flags'] = np.array([True, False])
        self.assertEqual(self.answer(), 'ok 1 9')  # a complex number is a row of two

    def test_files_that_crash_libhdf5(self):
        corpus = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'fuzz', 'corpus', 'report')
        for name in ('crash-compound', 'crash-links'):
            self.refused('damaged' if name == 'crash-compound' else 'cannot', path=os.path.join(corpus, name))

    def test_values_in_other_files_are_not_read(self):
        with h5py.File(self.path, 'w') as f:
            f.create_dataset('x', (4,), 'u1', external=[('/etc/passwd', 0, 4)])
            layout = h5py.VirtualLayout((4,), 'f4')
            layout[:] = h5py.VirtualSource('other.h5', 'x', (4,))
            f.create_virtual_dataset('v', layout)
        self.assertEqual(self.answer(), 'ok 1 0')


if __name__ == '__main__':
    unittest.main()
