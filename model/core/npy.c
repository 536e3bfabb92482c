#include "model/core/npy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HEADER 65536

static const struct {
    const char *descr;
    enum dtype dtype;
} types[] = {{"<f4", DT_F32}, {"<f8", DT_F64}, {"<f2", DT_F16}, {"|i1", DT_I8}, {"|u1", DT_U8},
    {"<i2", DT_I16}, {"<u2", DT_U16}, {"<i4", DT_I32}, {"<u4", DT_U32}, {"<i8", DT_I64},
    {"<u8", DT_U64}, {"|b1", DT_BOOL}};

static int bad(struct err *e, const char *path, const char *what)
{
    return err_set(e, ERR_INPUT, "%.400s: %s", path, what);
}

/* The text behind 'key': in the header's dictionary. */
static const char *entry(const char *header, const char *key)
{
    const char *at = strstr(header, key);
    at = at ? strchr(at + strlen(key), ':') : NULL;
    return at ? at + 1 + strspn(at + 1, " ") : NULL;
}

static int64_t parse_shape(const char *s)
{
    int64_t count = 1;
    if (!s || *s++ != '(')
        return -1;
    while (*(s += strspn(s, " ,")) != ')') {
        char *end;
        long long dim = strtoll(s, &end, 10);
        if (end == s || dim < 0 || __builtin_mul_overflow(count, dim, &count))
            return -1;
        s = end;
    }
    return count;
}

static int parse_header(
    enum dtype *dtype, int64_t *count, const char *header, const char *path, struct err *e)
{
    const char *descr = entry(header, "'descr'"), *order = entry(header, "'fortran_order'");
    *count = parse_shape(entry(header, "'shape'"));
    if (!descr || !order || *count < 0)
        return bad(e, path, "the .npy header cannot be read");
    if (strncmp(order, "False", 5))
        return bad(e, path, "the array is in Fortran order; save it with numpy.ascontiguousarray");
    for (int i = 0; i < 3; i++)
        if (*descr && !strncmp(descr + 1, types[i].descr, 3)) {
            *dtype = types[i].dtype;
            return 0;
        }
    return bad(e, path, "the array is not float32, float64 or float16");
}

static int read_header(char *header, FILE *f, const char *path, struct err *e)
{
    unsigned char head[12];
    if (fread(head, 1, 10, f) != 10 || memcmp(head, "\x93NUMPY", 6))
        return bad(e, path, "not a .npy file");
    size_t n = head[8] | (size_t)head[9] << 8;
    if (head[6] == 2) {
        if (fread(head + 10, 1, 2, f) != 2)
            return bad(e, path, "the file ends in its header");
        n |= (size_t)head[10] << 16 | (size_t)head[11] << 24;
    } else if (head[6] != 1) {
        return bad(e, path, "a .npy version other than 1.0 or 2.0");
    }
    if (n >= MAX_HEADER)
        return bad(e, path, "the .npy header is absurdly long");
    if (fread(header, 1, n, f) != n)
        return bad(e, path, "the file ends in its header");
    header[n] = '\0';
    return 0;
}

static int read_values(float **data, FILE *f, enum dtype dtype, int64_t count, const char *path,
    struct arena *arena, struct err *e)
{
    long at = ftell(f);
    if (at < 0 || fseek(f, 0, SEEK_END))
        return bad(e, path, strerror(errno));
    int64_t have = ftell(f) - at, size = (int64_t)dtype_bytes(dtype);
    if (count > have / size)
        return bad(e, path, "the file is shorter than its header says");
    *data = arena_array(arena, (size_t)count, sizeof **data, e);
    void *raw = *data ? arena_array(arena, (size_t)count, (size_t)size, e) : NULL;
    if (!raw)
        return ERR_LIMIT;
    if (fseek(f, at, SEEK_SET) || fread(raw, (size_t)size, (size_t)count, f) != (size_t)count)
        return bad(e, path, "reading failed");
    tensor_widen(*data, raw, dtype, count);
    return 0;
}

int npy_load_f32(float **data, int64_t *n, const char *path, struct arena *arena, struct err *e)
{
    FILE *f = fopen(path, "rbe");
    if (!f)
        return bad(e, path, strerror(errno));
    char *header = malloc(MAX_HEADER);
    enum dtype dtype = DT_F32;
    int rc = header ? read_header(header, f, path, e) : err_set(e, ERR_LIMIT, "out of memory");
    if (!rc)
        rc = parse_header(&dtype, n, header, path, e);
    if (!rc)
        rc = read_values(data, f, dtype, *n, path, arena, e);
    free(header);
    fclose(f);
    return rc;
}

int npy_header(char *buf, int size, enum dtype dtype, const int64_t *dim, int rank, struct err *e)
{
    const char *descr = NULL;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].dtype == dtype)
            descr = types[i].descr;
    if (!descr)
        return err_set(e, ERR_USAGE, "NumPy has no name for %s", dtype_name(dtype));
    char shape[200] = "";
    for (int i = 0, at = 0; i < rank; i++)
        at += snprintf(shape + at, sizeof shape - (size_t)at, "%lld,%s", (long long)dim[i],
            i + 1 < rank ? " " : "");
    int n = snprintf(buf + 10, (size_t)size - 10,
        "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, shape);
    int total = (10 + n + 1 + 63) / 64 * 64;
    if (n < 0 || total > size)
        return err_set(e, ERR_LIMIT, "the .npy header does not fit");
    memcpy(buf, "\x93NUMPY\x01\x00", 8);
    buf[8] = (char)((total - 10) & 255);
    buf[9] = (char)((total - 10) >> 8);
    memset(buf + 10 + n, ' ', (size_t)(total - 10 - n));
    buf[total - 1] = '\n';
    return total;
}
