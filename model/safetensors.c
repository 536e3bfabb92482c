#include "model/safetensors.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "model/core/json.h"

int safetensors_header_bytes(uint64_t *out, const unsigned char first[8], uint64_t file_bytes,
    const char *where, struct err *e)
{
    uint64_t n = 0;
    for (int i = 0; i < 8; i++)
        n |= (uint64_t)first[i] << 8 * i;
    if (n > SAFETENSORS_MAX_HEADER)
        return err_set(e, ERR_INPUT,
            "%s: a header of %" PRIu64 " bytes; this is no safetensors file", where, n);
    if (file_bytes < 8 || n > file_bytes - 8)
        return err_set(e, ERR_INPUT,
            "%s: truncated: the header has %" PRIu64 " bytes, the file %" PRIu64, where, n,
            file_bytes);
    if (n < 2)
        return err_set(e, ERR_INPUT, "%s: an empty header; this is no safetensors file", where);
    *out = n;
    return 0;
}

/* A size as safetensors writes it: an integer below 2^53 (sizes were read as reals, so that larger
 * ones reach this point and can be reported with their tensor). */
static int read_size(uint64_t *out, const struct js *v, const char *what, const char *name,
    const char *where, struct err *e)
{
    double d;
    if (!js_real(&d, v))
        return err_set(e, ERR_INPUT, "%s: tensor '%s': %s holds %s, not an integer", where, name,
            what, js_kind_name(js_kind(v)));
    if (!(d >= 0 && d < 0x1p53) || d != (double)(uint64_t)d)
        return err_set(e, ERR_INPUT, "%s: tensor '%s': %s holds %.17g, which is no possible size",
            where, name, what, d);
    *out = (uint64_t)d;
    return 0;
}

static int read_shape(
    struct weight *w, const struct js *shape, const char *name, const char *where, struct err *e)
{
    if (js_kind(shape) != JS_ARRAY)
        return err_set(e, ERR_INPUT, "%s: tensor '%s': shape is %s, not an array", where, name,
            js_kind_name(js_kind(shape)));
    size_t rank = js_count(shape);
    if (rank > TENSOR_MAX_RANK)
        return err_set(e, ERR_INPUT, "%s: tensor '%s': %zu dimensions, more than %d", where, name,
            rank, TENSOR_MAX_RANK);
    w->rank = (int)rank;
    for (size_t i = 0; i < rank; i++) {
        uint64_t n;
        int rc = read_size(&n, js_at(shape, i), "shape", name, where, e);
        if (rc)
            return rc;
        w->dim[i] = (int64_t)n;
    }
    return 0;
}

static int read_offsets(struct weight *w, const struct js *offsets, uint64_t data_bytes,
    const char *name, const char *where, struct err *e)
{
    if (js_kind(offsets) != JS_ARRAY || js_count(offsets) != 2)
        return err_set(
            e, ERR_INPUT, "%s: tensor '%s': data_offsets must be [begin, end]", where, name);
    uint64_t begin, end;
    int rc = read_size(&begin, js_at(offsets, 0), "data_offsets", name, where, e);
    if (!rc)
        rc = read_size(&end, js_at(offsets, 1), "data_offsets", name, where, e);
    if (rc)
        return rc;
    if (begin > end)
        return err_set(e, ERR_INPUT,
            "%s: tensor '%s': data_offsets [%" PRIu64 ", %" PRIu64 "] run backwards", where, name,
            begin, end);
    if (end > data_bytes)
        return err_set(e, ERR_INPUT,
            "%s: tensor '%s' ends at byte %" PRIu64 " of the data, which has %" PRIu64
            " (truncated file?)",
            where, name, end, data_bytes);
    w->offset = begin;
    w->bytes = end - begin;
    return 0;
}

static int read_tensor(struct weight *w, const char *name, const struct js *v, uint64_t data_bytes,
    const char *where, struct err *e)
{
    if (js_kind(v) != JS_OBJECT)
        return err_set(e, ERR_INPUT, "%s: tensor '%s' is described by %s, not an object", where,
            name, js_kind_name(js_kind(v)));
    size_t n;
    const char *dtype = js_string(js_get(v, "dtype"), &n);
    if (!dtype)
        return err_set(e, ERR_INPUT, "%s: tensor '%s': dtype is %s, not a string", where, name,
            js_kind_name(js_kind(js_get(v, "dtype"))));
    int rc = dtype_parse(&w->dtype, dtype, n, e);
    if (rc) {
        err_prefix(e, "%s: tensor '%s'", where, name);
        return rc;
    }
    rc = read_shape(w, js_get(v, "shape"), name, where, e);
    if (!rc)
        rc = read_offsets(w, js_get(v, "data_offsets"), data_bytes, name, where, e);
    if (rc)
        return rc;
    int64_t count = dims_count(w->dim, w->rank), bytes;
    if (count < 0 || __builtin_mul_overflow(count, (int64_t)dtype_bytes(w->dtype), &bytes))
        return err_set(e, ERR_INPUT, "%s: tensor '%s': its shape overflows", where, name);
    if ((uint64_t)bytes != w->bytes)
        return err_set(e, ERR_INPUT,
            "%s: tensor '%s': shape and dtype need %" PRId64 " bytes, data_offsets give %" PRIu64,
            where, name, bytes, w->bytes);
    return 0;
}

static int check_metadata(const struct js *v, const char *where, struct err *e)
{
    if (js_kind(v) != JS_OBJECT)
        return err_set(
            e, ERR_INPUT, "%s: __metadata__ is %s, not an object", where, js_kind_name(js_kind(v)));
    for (void *it = js_first(v); it; it = js_next(v, it))
        if (js_kind(js_value(it)) != JS_STRING)
            return err_set(e, ERR_INPUT, "%s: __metadata__ '%s' is %s, not a string", where,
                js_key(it), js_kind_name(js_kind(js_value(it))));
    return 0;
}

static int by_offset(const void *a, const void *b)
{
    const struct weight *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* The tensors, sorted by offset, must tile [0, data_bytes) exactly. */
static int check_tiling(
    const struct weight *list, int n, uint64_t data_bytes, const char *where, struct err *e)
{
    uint64_t at = 0;
    for (int i = 0; i < n; i++) {
        const struct weight *w = &list[i];
        if (w->offset < at)
            return err_set(
                e, ERR_INPUT, "%s: tensor '%s' overlaps '%s'", where, w->name, list[i - 1].name);
        if (w->offset > at)
            return err_set(e, ERR_INPUT,
                "%s: %" PRIu64 " bytes before tensor '%s' belong to no tensor", where,
                w->offset - at, w->name);
        at += w->bytes;
    }
    if (at != data_bytes)
        return err_set(e, ERR_INPUT,
            "%s: %" PRIu64 " bytes behind the last tensor%s%s%s belong to none", where,
            data_bytes - at, n ? " '" : "", n ? list[n - 1].name : "", n ? "'" : "");
    return 0;
}

static int read_all(struct weight **list, int *count, const struct js *j, uint64_t data_bytes,
    const char *where, struct arena *arena, struct err *e)
{
    if (js_kind(j) != JS_OBJECT)
        return err_set(
            e, ERR_INPUT, "%s: the header is %s, not an object", where, js_kind_name(js_kind(j)));
    struct weight *w = arena_array(arena, js_count(j) + 1, sizeof *w, e);
    if (!w)
        return ERR_LIMIT;
    int n = 0;
    for (void *it = js_first(j); it; it = js_next(j, it)) {
        const char *name = js_key(it);
        int rc;
        if (!strcmp(name, "__metadata__")) {
            rc = check_metadata(js_value(it), where, e);
        } else {
            w[n] = (struct weight){.name = arena_strdup(arena, name, e)};
            rc = w[n].name ? read_tensor(&w[n], name, js_value(it), data_bytes, where, e)
                           : ERR_LIMIT;
            n++;
        }
        if (rc)
            return rc;
    }
    qsort(w, (size_t)n, sizeof *w, by_offset);
    *list = w;
    *count = n;
    return check_tiling(w, n, data_bytes, where, e);
}

int safetensors_parse(struct weight **list, int *count, const char *header, uint64_t n,
    uint64_t file_bytes, const char *where, struct arena *arena, struct err *e)
{
    struct js *j;
    int rc = js_parse(&j, header, n, JS_BIG_INTS, where, e);
    if (rc)
        return rc;
    rc = read_all(list, count, j, file_bytes - 8 - n, where, arena, e);
    js_release(&j);
    for (int i = 0; !rc && i < *count; i++)
        (*list)[i].offset += 8 + n;
    return rc;
}
