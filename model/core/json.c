#include "model/core/json.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const json_t *inner(const struct js *v)
{
    return (const json_t *)v;
}

/* jansson's accessors that hand out members take no const. */
static json_t *loose(const struct js *v)
{
    return (json_t *)(uintptr_t)v;
}

/* jansson recurses up to 2048 levels, which is too much for the stack of a small thread. */
static int check_depth(const char *text, size_t n, const char *where, struct err *e)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JS_MAX_DEPTH)
                return err_set(
                    e, ERR_INPUT, "%s: JSON is nested deeper than %d levels", where, JS_MAX_DEPTH);
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return 0;
}

int js_parse(
    struct js **out, const char *text, size_t n, unsigned flags, const char *where, struct err *e)
{
    *out = NULL;
    if (n > JS_MAX_BYTES)
        return err_set(e, ERR_INPUT, "%s: %zu bytes of JSON, more than the limit of %zu", where, n,
            JS_MAX_BYTES);
    int rc = check_depth(text, n, where, e);
    if (rc)
        return rc;
    size_t options = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL;
    if (flags & JS_BIG_INTS)
        options |= JSON_DECODE_INT_AS_REAL;
    json_error_t je;
    json_t *j = json_loadb(n ? text : "", n, options, &je);
    if (!j)
        return err_set(e, json_error_code(&je) == json_error_out_of_memory ? ERR_LIMIT : ERR_INPUT,
            "%s: line %d, column %d: %s", where, je.line, je.column, je.text);
    *out = (struct js *)j;
    return 0;
}

void js_release(struct js **j)
{
    if (*j)
        json_decref((json_t *)*j);
    *j = NULL;
}

enum js_kind js_kind(const struct js *v)
{
    if (!v)
        return JS_ABSENT;
    static const enum js_kind kinds[] = {
        [JSON_OBJECT] = JS_OBJECT,
        [JSON_ARRAY] = JS_ARRAY,
        [JSON_STRING] = JS_STRING,
        [JSON_INTEGER] = JS_INT,
        [JSON_REAL] = JS_REAL,
        [JSON_TRUE] = JS_BOOL,
        [JSON_FALSE] = JS_BOOL,
        [JSON_NULL] = JS_NULL,
    };
    return kinds[json_typeof(inner(v))];
}

const char *js_kind_name(enum js_kind k)
{
    static const char *const names[] = {"absent", "null", "a boolean", "an integer", "a number",
        "a string", "an array", "an object"};
    return names[k];
}

const struct js *js_get(const struct js *object, const char *key)
{
    return (const struct js *)json_object_get(inner(object), key);
}

const struct js *js_at(const struct js *array, size_t i)
{
    return (const struct js *)json_array_get(inner(array), i);
}

size_t js_count(const struct js *v)
{
    return json_is_array(inner(v)) ? json_array_size(inner(v)) : json_object_size(inner(v));
}

const char *js_string(const struct js *v, size_t *n)
{
    if (!json_is_string(inner(v)))
        return NULL;
    if (n)
        *n = json_string_length(inner(v));
    return json_string_value(inner(v));
}

bool js_is(const struct js *v, const char *text)
{
    size_t n;
    const char *s = js_string(v, &n);
    return s && n == strlen(text) && !memcmp(s, text, n);
}

bool js_int(int64_t *out, const struct js *v)
{
    if (json_is_integer(inner(v))) {
        *out = json_integer_value(inner(v));
        return true;
    }
    if (!json_is_real(inner(v)))
        return false;
    double d = json_real_value(inner(v));
    if (!(d >= -0x1p63 && d < 0x1p63) || d != floor(d))
        return false;
    *out = (int64_t)d;
    return true;
}

bool js_real(double *out, const struct js *v)
{
    if (!json_is_number(inner(v)))
        return false;
    *out = json_number_value(inner(v));
    return true;
}

bool js_bool(bool *out, const struct js *v)
{
    if (!json_is_boolean(inner(v)))
        return false;
    *out = json_is_true(inner(v));
    return true;
}

void *js_first(const struct js *object)
{
    return json_object_iter(loose(object));
}

void *js_next(const struct js *object, void *it)
{
    return json_object_iter_next(loose(object), it);
}

const char *js_key(void *it)
{
    return json_object_iter_key(it);
}

const struct js *js_value(void *it)
{
    return (const struct js *)json_object_iter_value(it);
}

static void put(struct js_out *w, const char *s, size_t n)
{
    if (w->failed)
        return;
    if (w->cap - w->n < n + 1) {
        size_t cap = w->cap ? w->cap : 256;
        while (cap - w->n < n + 1) {
            if (cap > SIZE_MAX / 2) {
                w->failed = true;
                return;
            }
            cap *= 2;
        }
        char *data = realloc(w->data, cap);
        if (!data) {
            w->failed = true;
            return;
        }
        w->data = data;
        w->cap = cap;
    }
    memcpy(w->data + w->n, s, n);
    w->n += n;
}

/* The comma that separates a value from the one before it. */
static void separate(struct js_out *w)
{
    if (w->more && !w->after_key && w->depth > 0)
        put(w, ",", 1);
    w->after_key = false;
    w->more = true;
}

void js_out_begin(struct js_out *w, char bracket)
{
    separate(w);
    put(w, &bracket, 1);
    w->depth++;
    w->more = false;
}

void js_out_end(struct js_out *w, char bracket)
{
    put(w, &bracket, 1);
    w->depth--;
    w->more = true;
}

void js_out_key(struct js_out *w, const char *key)
{
    js_out_text(w, key);
    put(w, ":", 1);
    w->after_key = true;
}

/* Length of the well-formed UTF-8 sequence at s (RFC 3629), 0 if there is none. */
static size_t sequence(const unsigned char *s, size_t n)
{
    unsigned char c = s[0];
    if (c < 0x80)
        return 1;
    size_t len = c >= 0xc2 && c <= 0xdf   ? 2
                 : (c & 0xf0) == 0xe0     ? 3
                 : c >= 0xf0 && c <= 0xf4 ? 4
                                          : 0;
    if (!len || len > n)
        return 0;
    unsigned char low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    unsigned char high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

/* ASCII that stands for itself inside a string. */
static bool plain(char c)
{
    return (unsigned char)c - 0x20u < 0x5fu && c != '"' && c != '\\';
}

void js_out_string(struct js_out *w, const char *s, size_t n)
{
    static const char shorts[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    separate(w);
    put(w, "\"", 1);
    for (size_t i = 0; i < n;) {
        size_t run = i;
        while (run < n && plain(s[run]))
            run++;
        put(w, s + i, run - i);
        if ((i = run) == n)
            break;
        unsigned char c = (unsigned char)s[i];
        const char *found = c ? strchr(shorts, c) : NULL;
        size_t len = sequence((const unsigned char *)s + i, n - i);
        if (found) {
            put(w, (char[]){'\\', letters[found - shorts]}, 2);
        } else if (c < 0x20 || c == 0x7f) {
            char buf[8];
            snprintf(buf, sizeof buf, "\\u%04x", c);
            put(w, buf, 6);
        } else if (!len) {
            put(w, "\xef\xbf\xbd", 3);
        } else {
            put(w, s + i, len);
        }
        i += len ? len : 1;
    }
    put(w, "\"", 1);
}

void js_out_text(struct js_out *w, const char *s)
{
    if (s)
        js_out_string(w, s, strlen(s));
    else
        js_out_null(w);
}

static void word(struct js_out *w, const char *s)
{
    separate(w);
    put(w, s, strlen(s));
}

void js_out_int(struct js_out *w, int64_t v)
{
    char buf[32], *p = buf + sizeof buf;
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do
        *--p = (char)('0' + u % 10);
    while (u /= 10);
    if (v < 0)
        *--p = '-';
    separate(w);
    put(w, p, (size_t)(buf + sizeof buf - p));
}

void js_out_real(struct js_out *w, double v, int digits)
{
    char buf[48];
    if (!isfinite(v)) {
        js_out_null(w);
        return;
    }
    for (int d = digits >= 17 ? 15 : digits == 9 ? 6 : digits; d <= 17; d++) {
        snprintf(buf, sizeof buf, "%.*g", d, v);
        double back = strtod(buf, NULL);
        if (d >= digits || back == v || (digits == 9 && (float)back == (float)v))
            break;
    }
    word(w, buf);
}

void js_out_bool(struct js_out *w, bool v)
{
    word(w, v ? "true" : "false");
}

void js_out_null(struct js_out *w)
{
    word(w, "null");
}

void js_out_newline(struct js_out *w)
{
    put(w, "\n", 1);
    w->more = false;
}

int js_out_done(struct js_out *w, struct err *e)
{
    put(w, "", 0);
    if (w->failed)
        return err_set(e, ERR_LIMIT, "out of memory while writing JSON");
    w->data[w->n] = '\0';
    return 0;
}

void js_out_release(struct js_out *w)
{
    free(w->data);
    *w = (struct js_out){0};
}
