#!/usr/bin/env python3
"""Writes the C file that links the embedded model: embed.py OUT.c FILE...

The assembler includes the files themselves (.incbin), which gcc and clang do alike and at once,
where an array of numbers would take the compiler seconds.
"""
import os
import sys

out, paths = sys.argv[1], [os.path.abspath(p) for p in sys.argv[2:]]
for p in paths:
    if any(c in p for c in '"\\\n'):
        sys.exit(f"embed.py: {p!r}: quotes and backslashes in a path cannot be assembled; "
                 "build in another folder")
with open(out, "w", encoding="utf-8") as f:
    f.write('/* Made by datasets/tiny/embed.py. */\n#include "datasets/embedded.h"\n\n')
    for i, p in enumerate(paths):
        f.write(f'__asm__(".pushsection .rodata\\n"\n'
                f'        ".balign 64\\n"\n'
                f'        ".globl embedded_tiny_{i}\\n"\n'
                f'        ".hidden embedded_tiny_{i}\\n"\n'
                f'        "embedded_tiny_{i}:\\n"\n'
                f'        ".incbin \\"{p}\\"\\n"\n'
                f'        ".byte 0\\n"\n'
                f'        ".popsection\\n");\n'
                f'extern const unsigned char embedded_tiny_{i}[];\n\n')
    f.write("const struct embedded_data embedded_tiny[EMBEDDED_TINY_FILES] = {\n")
    for i, p in enumerate(paths):
        f.write(f'    {{"{os.path.basename(p)}", embedded_tiny_{i}, {os.path.getsize(p)}}},\n')
    f.write("};\n")
