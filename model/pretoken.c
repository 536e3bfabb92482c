#include "model/pretoken.h"

#include <stdbool.h>
#include <string.h>

/* PCRE2's \s has one character more than the pattern's author meant (U+180E), so white space is
 * asked for by its property. PCRE2 10.42 knows Unicode 14, Hugging Face's tokenizers 0.22 Unicode
 * 16: letters and numbers that were added in between are listed, or new scripts would split
 * differently. (Found by asking both about every code point: tests/numbers/tokenizer_fuzz.py.) */
#define SPACE "\\p{White_Space}"
#define LETTER                                                                                     \
    "\\p{L}\\x{1c89}\\x{1c8a}\\x{a7cb}-\\x{a7cd}\\x{a7da}-\\x{a7dc}\\x{105c0}-\\x{105f3}"          \
    "\\x{10d4a}-\\x{10d65}\\x{10d6f}-\\x{10d85}\\x{10ec2}-\\x{10ec4}\\x{1123f}\\x{11240}"          \
    "\\x{11380}-\\x{11389}\\x{1138b}\\x{1138e}\\x{11390}-\\x{113b5}\\x{113b7}\\x{113d1}"           \
    "\\x{113d3}\\x{11bc0}-\\x{11be0}\\x{11f02}\\x{11f04}-\\x{11f10}\\x{11f12}-\\x{11f33}"          \
    "\\x{1342f}\\x{13441}-\\x{13446}\\x{13460}-\\x{143fa}\\x{16100}-\\x{1611d}"                    \
    "\\x{16d40}-\\x{16d6c}\\x{18cff}\\x{1b132}\\x{1b155}\\x{1df25}-\\x{1df2a}"                     \
    "\\x{1e030}-\\x{1e06d}\\x{1e4d0}-\\x{1e4eb}\\x{1e5d0}-\\x{1e5ed}\\x{1e5f0}\\x{2b739}"          \
    "\\x{2ebf0}-\\x{2ee5d}\\x{31350}-\\x{323af}"
#define NUMBER                                                                                     \
    "\\p{N}\\x{10d40}-\\x{10d49}\\x{116d0}-\\x{116e3}\\x{11bf0}-\\x{11bf9}"                        \
    "\\x{11f50}-\\x{11f59}\\x{16130}-\\x{16139}\\x{16d70}-\\x{16d79}\\x{1ccf0}-\\x{1ccf9}"         \
    "\\x{1d2c0}-\\x{1d2d3}\\x{1e4f0}-\\x{1e4f9}\\x{1e5f1}-\\x{1e5fa}"

int pretoken_compile(struct regex **out, struct err *e)
{
    static const char pattern[] =
        "'s|'t|'re|'ve|'m|'ll|'d| ?[" LETTER "]++| ?[" NUMBER "]++| ?[^" SPACE LETTER NUMBER
        "]++|" SPACE "+(?!\\P{White_Space})|" SPACE "++";
    return regex_compile(out, pattern, sizeof pattern - 1, REGEX_ANCHORED, e);
}

/* Other, letter, digit, blank (White_Space below U+0080), and what only the tables know. */
enum byte_class { O, L, D, B, X };
#define X16 X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X
/* clang-format off */
static const unsigned char class_of[256] = {
    O, O, O, O, O, O, O, O, O, B, B, B, B, B, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O,
    B, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, D, D, D, D, D, D, D, D, D, D, O, O, O, O, O, O,
    O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, O, O, O, O, O,
    O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, O, O, O, O, O,
    X16, X16, X16, X16, X16, X16, X16, X16,
};
/* clang-format on */

static unsigned at(const char *s, size_t i)
{
    return class_of[(unsigned char)s[i]];
}

/* Length of a contraction at the apostrophe s[i], or 0. */
static size_t contraction(const char *s, size_t n, size_t i)
{
    if (i + 1 >= n)
        return 0;
    switch (s[i + 1]) {
    case 's':
    case 't':
    case 'm':
    case 'd':
        return 2;
    case 'r':
    case 'v':
        return i + 2 < n && s[i + 2] == 'e' ? 3 : 0;
    case 'l':
        return i + 2 < n && s[i + 2] == 'l' ? 3 : 0;
    default:
        return 0;
    }
}

size_t pretoken_ascii(const char *s, size_t n, size_t i)
{
    unsigned kind = at(s, i);
    if (s[i] == '\'') {
        size_t len = contraction(s, n, i);
        if (len)
            return i + len;
    }
    size_t j = i + 1;
    if (s[i] == ' ' && j < n && at(s, j) != B)
        kind = at(s, j++);
    if (kind == X)
        return 0;
    while (j < n && at(s, j) == kind)
        j++;
    if (j == n)
        return n;
    if (at(s, j) == X)
        return 0;
    /* The last blank of a run goes to the word behind it, or stands alone. */
    return kind == B && j - i > 1 ? j - 1 : j;
}

int pretoken_regex(size_t *end, const struct regex *re, struct matcher **m, const char *s, size_t n,
    size_t i, struct err *e)
{
    size_t begin;
    if (!*m) {
        int rc = matcher_create(m, re, e);
        if (rc < 0)
            return rc;
    }
    int rc = regex_find(&begin, end, *m, s, n, i, REGEX_CHECKED, e);
    if (rc < 0)
        return err_prefix(e, "splitting the text at byte %zu", i);
    /* Every character is a letter, a number, a space or none of them: something always matches. */
    if (rc == 0 || *end <= i)
        return err_set(e, ERR_INPUT, "splitting the text failed at byte %zu", i);
    return 0;
}
