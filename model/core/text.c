#include "model/core/text.h"

#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

/* Second-byte bounds of Unicode 15, table 3-7: what E0, ED, F0 and F4 restrict. */
static bool second_byte_ok(unsigned char lead, unsigned char b)
{
    switch (lead) {
    case 0xe0:
        return b >= 0xa0 && b <= 0xbf;
    case 0xed:
        return b >= 0x80 && b <= 0x9f;
    case 0xf0:
        return b >= 0x90 && b <= 0xbf;
    case 0xf4:
        return b >= 0x80 && b <= 0x8f;
    default:
        return (b & 0xc0) == 0x80;
    }
}

int utf8_next(uint32_t *cp, const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;
    unsigned char lead = p[0];
    if (lead < 0x80) {
        *cp = lead;
        return 1;
    }
    *cp = 0xfffd;
    if (lead < 0xc2 || lead > 0xf4)
        return -1;
    int want = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (n < 2 || !second_byte_ok(lead, p[1]))
        return -1;
    uint32_t c = (uint32_t)(lead & (0x7f >> want)) << 6 | (p[1] & 0x3f);
    for (int i = 2; i < want; i++) {
        if ((size_t)i >= n || (p[i] & 0xc0) != 0x80)
            return -i;
        c = c << 6 | (p[i] & 0x3f);
    }
    *cp = c;
    return want;
}

int utf8_put(char out[4], uint32_t cp)
{
    if (cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
        cp = 0xfffd;
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    int n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (int i = n - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (cp & 0x3f));
        cp >>= 6;
    }
    out[0] = (char)((0xf00 >> n) | cp);
    return n;
}

size_t utf8_valid_prefix(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n) {
        uint64_t eight;
        if (n - i >= 8 && (memcpy(&eight, s + i, 8), !(eight & 0x8080808080808080u))) {
            i += 8;
            continue;
        }
        uint32_t cp;
        int len = utf8_next(&cp, s + i, n - i);
        if (len < 0)
            return i;
        i += (size_t)len;
    }
    return n;
}

char *utf8_replace(
    size_t *n_out, int64_t *n_invalid, const char *s, size_t n, struct arena *a, struct err *e)
{
    size_t need = 0;
    int64_t bad = 0;
    for (size_t i = 0; i < n;) {
        size_t good = utf8_valid_prefix(s + i, n - i);
        i += good;
        need += good;
        if (i < n) {
            uint32_t cp;
            i += (size_t)-utf8_next(&cp, s + i, n - i);
            need += 3;
            bad++;
        }
    }
    char *out = arena_alloc(a, need + 1, e);
    if (!out)
        return NULL;
    char *p = out;
    for (size_t i = 0; i < n;) {
        size_t good = utf8_valid_prefix(s + i, n - i);
        memcpy(p, s + i, good);
        p += good;
        i += good;
        if (i < n) {
            uint32_t cp;
            i += (size_t)-utf8_next(&cp, s + i, n - i);
            memcpy(p, "\xef\xbf\xbd", 3);
            p += 3;
        }
    }
    *p = '\0';
    *n_out = need;
    if (n_invalid)
        *n_invalid = bad;
    return out;
}

static const utf8proc_property_t *property(uint32_t cp)
{
    return utf8proc_get_property((utf8proc_int32_t)cp);
}

/* utf8proc's width, corrected where wcwidth of current C libraries (which ncurses and terminals
 * follow) differs: spacing marks take a column, conjoining vowels and finals none, hexagrams and
 * circled numbers on black squares two. */
static int char_width(uint32_t cp)
{
    static const struct {
        uint32_t first, last;
        int width;
    } table[] = {
        {0x1160, 0x11ff, 0}, {0x3248, 0x324f, 2}, {0x4dc0, 0x4dff, 2}, {0xd7b0, 0xd7fb, 0}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (cp >= table[i].first && cp <= table[i].last)
            return table[i].width;
    if (property(cp)->category == UTF8PROC_CATEGORY_MC)
        return 1;
    return utf8proc_charwidth((utf8proc_int32_t)cp);
}

size_t text_cluster(int *columns, const char *s, size_t n)
{
    uint32_t cp = 0;
    int len = n ? utf8_next(&cp, s, n) : 0;
    if (len <= 0) {
        *columns = n ? 1 : 0;
        return n ? 1 : 0;
    }
    size_t end = (size_t)len;
    /* Printable ASCII before ASCII needs no tables. */
    if (cp >= 0x20 && cp < 0x7f && (end == n || !(s[end] & 0x80))) {
        *columns = 1;
        return 1;
    }
    int width = char_width(cp);
    int boundclass = (int)property(cp)->boundclass;
    bool flag = boundclass == UTF8PROC_BOUNDCLASS_REGIONAL_INDICATOR;
    /* Emoji sequences are drawn as one picture; other clusters advance by the sum of their parts. */
    bool picture = flag || boundclass == UTF8PROC_BOUNDCLASS_EXTENDED_PICTOGRAPHIC;
    utf8proc_int32_t state = 0;
    while (end < n) {
        uint32_t next;
        len = utf8_next(&next, s + end, n - end);
        if (len < 0 ||
            utf8proc_grapheme_break_stateful((utf8proc_int32_t)cp, (utf8proc_int32_t)next, &state))
            break;
        int w = char_width(next);
        if (!picture)
            width += w;
        else if (flag || w > width)
            width = 2;
        cp = next;
        end += (size_t)len;
    }
    *columns = width;
    return end;
}

int text_width(const char *s, size_t n)
{
    int width = 0;
    for (size_t i = 0; i < n;) {
        int columns;
        i += text_cluster(&columns, s + i, n - i);
        width += columns;
    }
    return width;
}

size_t text_clip(int *used, const char *s, size_t n, int columns)
{
    size_t i = 0;
    int width = 0;
    while (i < n) {
        int w;
        size_t len = text_cluster(&w, s + i, n - i);
        if (width + w > columns)
            break;
        width += w;
        i += len;
    }
    if (used)
        *used = width;
    return i;
}

size_t text_clip_left(int *used, const char *s, size_t n, int columns)
{
    size_t i = 0;
    int width = text_width(s, n);
    while (i < n && width > columns) {
        int w;
        i += text_cluster(&w, s + i, n - i);
        width -= w;
    }
    if (used)
        *used = width;
    return i;
}

/* A sink that counts everything and keeps whole units while they fit. */
struct sink {
    char *out;
    size_t cap, n;
    bool full;
};

static void sink_put(struct sink *k, const char *s, size_t n)
{
    if (k->out && !k->full && k->n + n < k->cap)
        memcpy(k->out + k->n, s, n);
    else if (!k->full) {
        k->full = true;
        if (k->cap)
            k->out[k->n] = '\0';
    }
    k->n += n;
}

static void put_code(struct sink *k, uint32_t cp)
{
    char buf[16];
    static const char names[] = {['\n'] = 'n', ['\t'] = 't', ['\r'] = 'r'};
    int n;
    if (cp < sizeof names && names[cp])
        n = snprintf(buf, sizeof buf, "\\%c", names[cp]);
    else if (cp < 0x80)
        n = snprintf(buf, sizeof buf, "\\x%02x", cp);
    else if (cp < 0x10000)
        n = snprintf(buf, sizeof buf, "\\u%04x", cp);
    else
        n = snprintf(buf, sizeof buf, "\\U%08x", cp);
    sink_put(k, buf, (size_t)n);
}

/* No glyph of its own, or one that passes for an ordinary space. */
static bool hidden(uint32_t cp, bool inside_cluster)
{
    switch (property(cp)->category) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return true;
    case UTF8PROC_CATEGORY_ZS:
        return cp != ' ';
    case UTF8PROC_CATEGORY_CF:
        return !(inside_cluster && (cp == 0x200c || cp == 0x200d));
    default:
        return false;
    }
}

/* One cluster of valid text; safe ones pass, hidden characters are named one by one. */
static void put_cluster(struct sink *k, const char *s, size_t n, int columns, unsigned flags)
{
    bool show = columns > 0;
    for (size_t i = 0; show && i < n;) {
        uint32_t cp;
        int len = utf8_next(&cp, s + i, n - i);
        if (hidden(cp, i > 0) || (flags & TEXT_ASCII && cp > 0x7e))
            show = false;
        i += (size_t)len;
    }
    if (show) {
        sink_put(k, s, n);
        return;
    }
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        int len = utf8_next(&cp, s + i, n - i);
        if (cp >= 0x20 && cp < 0x7f)
            sink_put(k, s + i, 1);
        else
            put_code(k, cp);
        i += (size_t)len;
    }
}

size_t text_escape(char *out, size_t cap, const char *s, size_t n, unsigned flags)
{
    struct sink k = {.out = out, .cap = cap};
    for (size_t i = 0; i < n;) {
        unsigned char b = (unsigned char)s[i];
        uint32_t cp;
        int len = utf8_next(&cp, s + i, n - i);
        if (len < 0) {
            for (int j = 0; j < -len; j++) {
                char buf[8];
                snprintf(buf, sizeof buf, "\\x%02x", (unsigned char)s[i + (size_t)j]);
                sink_put(&k, buf, 4);
            }
            i += (size_t)-len;
        } else if (b == ' ' && (flags & TEXT_DOTS || (flags & TEXT_DOT && i == 0)) &&
                   !(i + 1 < n && s[i + 1] & 0x80 && text_cluster(&(int){0}, s + i, n - i) > 1)) {
            sink_put(&k, flags & TEXT_ASCII ? "_" : "\xc2\xb7", flags & TEXT_ASCII ? 1 : 2);
            i++;
        } else if (b == '\\' && flags & TEXT_BACKSLASH) {
            sink_put(&k, "\\\\", 2);
            i++;
        } else if ((b == '\n' || b == '\t') && flags & TEXT_RAW_SPACE) {
            sink_put(&k, s + i, 1);
            i++;
        } else {
            int columns;
            size_t c = text_cluster(&columns, s + i, n - i);
            put_cluster(&k, s + i, c, columns, flags);
            i += c;
        }
    }
    if (!k.full && k.cap)
        k.out[k.n] = '\0';
    return k.n;
}

char *text_escaped(const char *s, size_t n, unsigned flags, struct arena *a, struct err *e)
{
    size_t need = text_escape(NULL, 0, s, n, flags);
    char *out = arena_alloc(a, need + 1, e);
    if (out)
        text_escape(out, need + 1, s, n, flags);
    return out;
}

const char *text_s(int64_t n)
{
    return n == 1 ? "" : "s";
}
