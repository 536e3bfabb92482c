#ifndef SONDE_CORE_JSON_H
#define SONDE_CORE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/core/err.h"

/* Reading and writing JSON; the only file that knows jansson. A value is borrowed from the document
 * that js_parse returned and lives as long as it does. Every accessor accepts NULL (an absent
 * value), so that lookups can be chained. */
struct js;

enum js_kind { JS_ABSENT, JS_NULL, JS_BOOL, JS_INT, JS_REAL, JS_STRING, JS_ARRAY, JS_OBJECT };

#define JS_MAX_BYTES ((size_t)512 << 20)
#define JS_MAX_DEPTH 128

/* One document of n bytes; `where` names it in errors, which carry line and column. Refused: invalid
 * UTF-8, duplicated keys, anything behind the value, deeper than JS_MAX_DEPTH. JS_BIG_INTS reads
 * integers as reals, so that those above 2^63 can be reported by whoever knows their name. */
enum js_flags { JS_BIG_INTS = 1 };
int js_parse(
    struct js **out, const char *text, size_t n, unsigned flags, const char *where, struct err *e);
void js_release(struct js **j);

enum js_kind js_kind(const struct js *v);
const char *js_kind_name(enum js_kind k); /* "a string", "an object": for messages */
const struct js *js_get(const struct js *object, const char *key);
const struct js *js_at(const struct js *array, size_t i);
size_t js_count(const struct js *v); /* of an array or object, else 0 */
/* Bytes and length (NULs may be inside; one follows), or NULL if it is not a string. */
const char *js_string(const struct js *v, size_t *n);
bool js_is(const struct js *v, const char *text); /* is this very string */
/* False: not such a value. js_int takes reals without a fraction, js_real takes integers. */
bool js_int(int64_t *out, const struct js *v);
bool js_real(double *out, const struct js *v);
bool js_bool(bool *out, const struct js *v);

/* Members in file order: for (it = js_first(o); it; it = js_next(o, it)). */
void *js_first(const struct js *object);
void *js_next(const struct js *object, void *it);
const char *js_key(void *it);
const struct js *js_value(void *it);

/* A writer into a growing buffer: commas and nesting are its business. After a failed allocation it
 * goes on quietly and js_out_done says so. Take bytes out early with `n = 0` between values. */
struct js_out {
    char *data; /* not NUL-terminated until js_out_done */
    size_t n, cap;
    int depth;
    bool more, after_key, failed;
};
void js_out_begin(struct js_out *w, char bracket); /* '{' or '[' */
void js_out_end(struct js_out *w, char bracket);   /* '}' or ']' */
void js_out_key(struct js_out *w, const char *key);
/* Invalid UTF-8 becomes U+FFFD; control bytes and quotes are escaped. */
void js_out_string(struct js_out *w, const char *s, size_t n);
void js_out_text(struct js_out *w, const char *s); /* NULL: null */
void js_out_int(struct js_out *w, int64_t v);
void js_out_real(
    struct js_out *w, double v, int digits); /* 9 for F32, 17 for F64; not finite: null */
void js_out_bool(struct js_out *w, bool v);
void js_out_null(struct js_out *w);
void js_out_newline(struct js_out *w); /* between lines of JSONL, at depth 0 */
int js_out_done(struct js_out *w, struct err *e);
void js_out_release(struct js_out *w);

#endif
