"""What tests of the command line from outside share: the program, a folder of their own, and the count."""
import os
import sys
import tempfile

SONDE = os.path.abspath(sys.argv[1])
scratch = tempfile.TemporaryDirectory(prefix='sonde-cli-')
TMP = scratch.name
failed = passed = 0


def check(ok, what):
    global failed, passed
    passed += bool(ok)
    if not ok:
        failed += 1
        print('FAILED', what)


def finish():
    print(f'{passed} passed, {failed} failed')
    sys.exit(failed > 0)
