#include "model/core/json_scan.h"

#include <string.h>

#include "model/core/text.h"

#define MAX_DEPTH 128

void scan_init(struct scan *s, const char *text, size_t n, const char *where)
{
    *s = (struct scan){.p = text, .end = text + n, .text = text, .where = where};
    /* A byte order mark is not JSON, but editors leave one. */
    if (n >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
        s->p += 3;
}

int scan_fail(const struct scan *s, const char *what, struct err *e)
{
    size_t line = 1;
    const char *bol = s->text;
    for (const char *q = s->text; q < s->p; q++)
        if (*q == '\n') {
            line++;
            bol = q + 1;
        }
    if (s->p >= s->end)
        return err_set(e, ERR_INPUT, "%s: the file ends in the middle (%s)", s->where, what);
    char near[48];
    size_t left = (size_t)(s->end - s->p);
    text_escape(near, sizeof near, s->p, left < 12 ? left : 12, 0);
    return err_set(e, ERR_INPUT, "%s: %s at line %zu, column %zu, near '%s'", s->where, what, line,
        (size_t)(s->p - bol) + 1, near);
}

char scan_peek(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
    return s->p < s->end ? *s->p : '\0';
}

int scan_open(struct scan *s, char bracket, struct err *e)
{
    if (scan_peek(s) != bracket)
        return scan_fail(s, bracket == '{' ? "expected an object" : "expected a list", e);
    if (++s->depth > MAX_DEPTH)
        return scan_fail(s, "nested too deeply", e);
    s->p++;
    s->first = true;
    return 0;
}

int scan_more(struct scan *s, char closing, struct err *e)
{
    char c = scan_peek(s);
    if (c == closing) {
        s->p++;
        s->depth--;
        s->first = false;
        return 0;
    }
    if (!s->first) {
        if (c != ',')
            return scan_fail(s, closing == '}' ? "expected , or }" : "expected , or ]", e);
        s->p++;
        if (scan_peek(s) == closing)
            return scan_fail(s, "a comma before the closing bracket", e);
    }
    s->first = false;
    return 1;
}

static int hex4(uint32_t *out, struct scan *s, struct err *e)
{
    *out = 0;
    for (int i = 0; i < 4; i++, s->p++) {
        char c = s->p < s->end ? *s->p : '\0';
        int v = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (v < 0)
            return scan_fail(s, "bad \\u escape", e);
        *out = *out << 4 | (uint32_t)v;
    }
    return 0;
}

/* At the character behind a backslash. */
static int escape(uint32_t *cp, struct scan *s, struct err *e)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = s->p < s->end ? *s->p : '\0';
    const char *at = c ? strchr(from, c) : NULL;
    if (at) {
        *cp = (unsigned char)to[at - from];
        s->p++;
        return 0;
    }
    if (c != 'u')
        return scan_fail(s, "bad escape", e);
    s->p++;
    int rc = hex4(cp, s, e);
    if (rc < 0)
        return rc;
    if (*cp >= 0xd800 && *cp < 0xdc00 && s->end - s->p >= 6 && s->p[0] == '\\' && s->p[1] == 'u') {
        uint32_t low;
        s->p += 2;
        rc = hex4(&low, s, e);
        if (rc < 0)
            return rc;
        if (low >= 0xdc00 && low < 0xe000) {
            *cp = 0x10000 + ((*cp - 0xd800) << 10) + (low - 0xdc00);
            return 0;
        }
    }
    if (*cp >= 0xd800 && *cp < 0xe000)
        return scan_fail(s, "half a surrogate pair", e);
    return 0;
}

/* ASCII that stands for itself inside a string. */
static bool plain(char c)
{
    return (unsigned char)c - 0x20u < 0x60u && c != '"' && c != '\\';
}

int scan_string(char *out, size_t *n, struct scan *s, struct err *e)
{
    if (scan_peek(s) != '"')
        return scan_fail(s, "expected a string", e);
    s->p++;
    size_t len = 0;
    for (;;) {
        const char *run = s->p;
        while (s->p < s->end && plain(*s->p))
            s->p++;
        size_t k = (size_t)(s->p - run);
        if (out)
            memcpy(out + len, run, k);
        len += k;
        if (s->p >= s->end)
            return scan_fail(s, "a string is not closed", e);
        unsigned char c = (unsigned char)*s->p;
        if (c == '"')
            break;
        uint32_t cp = 0;
        char buf[4];
        int rc = 0;
        if (c == '\\') {
            s->p++;
            rc = escape(&cp, s, e);
            if (rc < 0)
                return rc;
            rc = utf8_put(buf, cp);
        } else if (c >= 0x80) {
            rc = utf8_next(&cp, s->p, (size_t)(s->end - s->p));
            if (rc < 0)
                return scan_fail(s, "invalid UTF-8", e);
            memcpy(buf, s->p, (size_t)rc);
            s->p += rc;
        } else {
            return scan_fail(s, "a control byte in a string", e);
        }
        if (out)
            memcpy(out + len, buf, (size_t)rc);
        len += (size_t)rc;
    }
    s->p++;
    if (out)
        out[len] = '\0';
    if (n)
        *n = len;
    return 0;
}

int scan_key(char *out, size_t *n, struct scan *s, struct err *e)
{
    int rc = scan_string(out, n, s, e);
    if (rc < 0)
        return rc;
    if (scan_peek(s) != ':')
        return scan_fail(s, "expected :", e);
    s->p++;
    return 0;
}

int scan_int(int64_t *out, struct scan *s, struct err *e)
{
    char c = scan_peek(s);
    bool minus = c == '-';
    const char *digits = s->p + minus;
    const char *q = digits;
    int64_t v = 0;
    while (q < s->end && *q >= '0' && *q <= '9') {
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *q - '0', &v))
            return scan_fail(s, "a number too large", e);
        q++;
    }
    if (q == digits || (*digits == '0' && q - digits > 1) ||
        (q < s->end && (*q == '.' || *q == 'e' || *q == 'E')))
        return scan_fail(s, "expected a whole number", e);
    s->p = q;
    *out = minus ? -v : v;
    return 0;
}

static int skip_number(struct scan *s, struct err *e)
{
    const char *q = s->p + (*s->p == '-');
    const char *digits = q;
    while (q < s->end && *q >= '0' && *q <= '9')
        q++;
    if (q == digits)
        return scan_fail(s, "expected a value", e);
    while (q < s->end && (strchr("+-.eE", *q) || (*q >= '0' && *q <= '9')))
        q++;
    s->p = q;
    return 0;
}

/* A loop with a stack of brackets in bits: hostile nesting must not use our own stack. */
static int skip_value(struct scan *s, struct err *e)
{
    uint64_t kinds[MAX_DEPTH / 64 + 1] = {0}; /* bit d: level d is an object */
    int base = s->depth;
    do {
        if (s->depth > base) {
            int d = s->depth;
            bool object = kinds[d / 64] >> (d % 64) & 1;
            int more = scan_more(s, object ? '}' : ']', e);
            if (more <= 0) {
                if (more < 0)
                    return more;
                continue;
            }
            if (object && (more = scan_key(NULL, NULL, s, e)) < 0)
                return more;
        }
        int rc = 0;
        char c = scan_peek(s);
        size_t left = (size_t)(s->end - s->p);
        if (c == '{' || c == '[') {
            rc = scan_open(s, c, e);
            int d = s->depth;
            if (rc == 0) {
                uint64_t bit = (uint64_t)1 << (d % 64);
                kinds[d / 64] = c == '{' ? kinds[d / 64] | bit : kinds[d / 64] & ~bit;
            }
        } else if (c == '"')
            rc = scan_string(NULL, NULL, s, e);
        else if (left >= 4 && (!memcmp(s->p, "true", 4) || !memcmp(s->p, "null", 4)))
            s->p += 4;
        else if (left >= 5 && !memcmp(s->p, "false", 5))
            s->p += 5;
        else if (left)
            rc = skip_number(s, e);
        else
            rc = scan_fail(s, "expected a value", e);
        if (rc < 0)
            return rc;
    } while (s->depth > base);
    return 0;
}

int scan_skip(const char **begin, size_t *n, struct scan *s, struct err *e)
{
    scan_peek(s);
    const char *from = s->p;
    int rc = skip_value(s, e);
    if (begin)
        *begin = from;
    if (n)
        *n = (size_t)(s->p - from);
    return rc;
}

int scan_done(struct scan *s, struct err *e)
{
    scan_peek(s);
    return s->p == s->end ? 0 : scan_fail(s, "something behind the end", e);
}
