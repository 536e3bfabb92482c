#include "model/core/npy.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_HEADER ((size_t)1 << 20)

static const struct {
    const char *code; /* after the byte order */
    enum dtype dtype;
} codes[] = {{"f4", DT_F32}, {"f8", DT_F64}, {"f2", DT_F16}, {"i1", DT_I8}, {"u1", DT_U8},
    {"i2", DT_I16}, {"u2", DT_U16}, {"i4", DT_I32}, {"u4", DT_U32}, {"i8", DT_I64}, {"u8", DT_U64},
    {"b1", DT_BOOL}};

struct header {
    enum dtype dtype;
    bool swap, fortran;
    int rank;
    int64_t dim[TENSOR_MAX_RANK];
    bool has_descr, has_order, has_shape;
};

/* ---- the header: a Python dictionary of three entries ---- */

static const char *blanks(const char *p)
{
    while (isspace((unsigned char)*p))
        p++;
    return p;
}

/* A quoted word without escapes; NULL if there is none. */
static const char *quoted(char *out, size_t n, const char *p)
{
    char quote = *p;
    size_t len = 0;
    if (quote != '\'' && quote != '"')
        return NULL;
    for (p++; *p && *p != quote && *p != '\\'; p++)
        if (len + 1 < n)
            out[len++] = *p;
    out[len] = '\0';
    return *p == quote ? p + 1 : NULL;
}

static const char *read_descr(struct header *h, const char *p)
{
    char word[16];
    p = quoted(word, sizeof word, p);
    if (!p || !strchr("<>|=", word[0]) || h->has_descr)
        return NULL;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (!strcmp(codes[i].code, word + 1)) {
            h->dtype = codes[i].dtype;
            h->swap = word[0] == '>';
            h->has_descr = true;
            return p;
        }
    return NULL;
}

static const char *read_order(struct header *h, const char *p)
{
    if (h->has_order)
        return NULL;
    h->has_order = true;
    h->fortran = !strncmp(p, "True", 4);
    if (h->fortran)
        return p + 4;
    return strncmp(p, "False", 5) ? NULL : p + 5;
}

static const char *read_shape(struct header *h, const char *p)
{
    if (h->has_shape || *p++ != '(')
        return NULL;
    h->has_shape = true;
    for (p = blanks(p); *p != ')'; p = blanks(p)) {
        char *end;
        if (!isdigit((unsigned char)*p) || h->rank == TENSOR_MAX_RANK)
            return NULL;
        errno = 0;
        h->dim[h->rank++] = strtoll(p, &end, 10);
        p = *end == 'L' ? end + 1 : end; /* written by Python 2 */
        p = blanks(p);
        if (errno || (*p != ',' && *p != ')'))
            return NULL;
        p += *p == ',';
    }
    return p + 1;
}

static bool parse_header(struct header *h, const char *p)
{
    static const struct {
        const char *key;
        const char *(*read)(struct header *h, const char *p);
    } entries[] = {{"descr", read_descr}, {"fortran_order", read_order}, {"shape", read_shape}};
    char key[32];
    p = blanks(p);
    if (*p++ != '{')
        return false;
    for (p = blanks(p); *p != '}'; p = blanks(p)) {
        const char *(*read)(struct header * h, const char *p) = NULL;
        if (!(p = quoted(key, sizeof key, p)))
            return false;
        for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
            if (!strcmp(entries[i].key, key))
                read = entries[i].read;
        p = blanks(p);
        if (!read || *p++ != ':' || !(p = read(h, blanks(p))))
            return false;
        p = blanks(p);
        if (*p != ',' && *p != '}')
            return false;
        p += *p == ',';
    }
    return h->has_descr && h->has_order && h->has_shape && !*blanks(p + 1);
}

static int read_header(struct header *h, FILE *f, const char *path, struct arena *a, struct err *e)
{
    unsigned char fixed[12];
    size_t len, more = 2;
    *h = (struct header){0};
    if (fread(fixed, 1, 8, f) != 8 || memcmp(fixed, "\x93NUMPY", 6))
        return err_set(e, ERR_INPUT, "%s is not an npy file", path);
    if (fixed[6] < 1 || fixed[6] > 3)
        return err_set(e, ERR_INPUT, "%s: npy version %d; save it with numpy.save", path, fixed[6]);
    if (fixed[6] > 1)
        more = 4;
    if (fread(fixed + 8, 1, more, f) != more)
        return err_set(e, ERR_INPUT, "%s is cut short in its header", path);
    len = (size_t)fixed[8] | (size_t)fixed[9] << 8;
    if (more == 4)
        len |= (size_t)fixed[10] << 16 | (size_t)fixed[11] << 24;
    if (len > MAX_HEADER)
        return err_set(e, ERR_INPUT, "%s: a header of %zu bytes", path, len);
    char *text = arena_zalloc(a, len + 1, e);
    if (!text)
        return ERR_LIMIT;
    if (fread(text, 1, len, f) != len)
        return err_set(e, ERR_INPUT, "%s is cut short in its header", path);
    if (strlen(text) == len && parse_header(h, text))
        return 0;
    return err_set(e, ERR_INPUT,
        "%s: its header is none that sonde reads (numbers of rank <= %d, no objects): %.120s", path,
        TENSOR_MAX_RANK, text);
}

/* ---- values ---- */

static void swap_bytes(char *p, size_t size, int64_t n)
{
    for (int64_t i = 0; i < n; i++, p += size)
        for (size_t k = 0; k < size / 2; k++) {
            char c = p[k];
            p[k] = p[size - 1 - k];
            p[size - 1 - k] = c;
        }
}

static void to_row_major(char *out, const char *in, const struct header *h, int64_t n)
{
    size_t size = dtype_bytes(h->dtype);
    int64_t at[TENSOR_MAX_RANK] = {0};
    for (int64_t i = 0; i < n; i++) {
        int64_t from = 0;
        for (int k = h->rank - 1; k >= 0; k--)
            from = from * h->dim[k] + at[k];
        memcpy(out + (size_t)i * size, in + (size_t)from * size, size);
        for (int k = h->rank - 1; k >= 0 && ++at[k] == h->dim[k]; k--)
            at[k] = 0;
    }
}

static int load(struct tensor *out, FILE *f, const char *path, struct arena *a, struct err *e)
{
    struct header h;
    struct stat st;
    int rc = read_header(&h, f, path, a, e);
    if (rc)
        return rc;
    int64_t n = dims_count(h.dim, h.rank), bytes = 0, at = ftell(f);
    size_t size = dtype_bytes(h.dtype);
    /* The file is as long as the header says, or nothing is allocated. */
    if (n < 0 || __builtin_mul_overflow(n, (int64_t)size, &bytes) || at < 0 ||
        fstat(fileno(f), &st) || !S_ISREG(st.st_mode) || st.st_size - at != bytes)
        return err_set(e, ERR_INPUT, "%s does not hold the values its header promises", path);
    char *data = arena_alloc(a, (size_t)bytes, e);
    if (!data)
        return ERR_LIMIT;
    if (fread(data, 1, (size_t)bytes, f) != (size_t)bytes)
        return err_set(e, ERR_INPUT, "%s cannot be read", path);
    if (h.swap)
        swap_bytes(data, size, n);
    if (h.fortran && h.rank > 1) {
        char *rows = arena_alloc(a, (size_t)bytes, e);
        if (!rows)
            return ERR_LIMIT;
        to_row_major(rows, data, &h, n);
        data = rows;
    }
    *out = (struct tensor){.dtype = h.dtype, .rank = h.rank, .data = data};
    memcpy(out->dim, h.dim, sizeof out->dim);
    return 0;
}

int npy_load(struct tensor *out, const char *path, struct arena *a, struct err *e)
{
    FILE *f = fopen(path, "rbe");
    if (!f)
        return err_set(e, ERR_INPUT, "cannot read %s: %s", path, strerror(errno));
    int rc = load(out, f, path, a, e);
    fclose(f);
    return rc;
}

#define AS_FLOAT(DT, TYPE)                                                                         \
    case DT:                                                                                       \
        for (int64_t i = 0; i < n; i++)                                                            \
            out[i] = (float)((const TYPE *)t->data)[i];                                            \
        break

int npy_load_f32(float **result, int64_t *count, const char *path, struct arena *a, struct err *e)
{
    struct tensor whole, *t = &whole;
    int rc = npy_load(t, path, a, e);
    if (rc)
        return rc;
    int64_t n = dims_count(t->dim, t->rank);
    float *out = arena_array(a, (size_t)n, sizeof *out, e);
    if (!out)
        return ERR_LIMIT;
    switch (t->dtype) {
        AS_FLOAT(DT_I8, int8_t);
        AS_FLOAT(DT_U8, uint8_t);
        AS_FLOAT(DT_I16, int16_t);
        AS_FLOAT(DT_U16, uint16_t);
        AS_FLOAT(DT_I32, int32_t);
        AS_FLOAT(DT_U32, uint32_t);
        AS_FLOAT(DT_I64, int64_t);
        AS_FLOAT(DT_U64, uint64_t);
        AS_FLOAT(DT_BOOL, uint8_t);
    default:
        tensor_widen(out, t->data, t->dtype, n);
        break;
    }
    *result = out;
    *count = n;
    return 0;
}

int npy_write_header(FILE *f, enum dtype t, const int64_t *dim, int rank, struct err *e)
{
    char shape[TENSOR_MAX_RANK * 22 + 8] = "", text[400];
    const char *code = NULL;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].dtype == t)
            code = codes[i].code;
    if (!code || rank > TENSOR_MAX_RANK)
        return err_set(e, ERR_USAGE, "%s has no npy form", dtype_name(t));
    size_t at = 0;
    for (int i = 0; i < rank; i++)
        at += (size_t)snprintf(shape + at, sizeof shape - at, "%s%" PRId64 "%s", i ? " " : "",
            dim[i], i + 1 < rank || rank == 1 ? "," : "");
    int n =
        snprintf(text, sizeof text, "{'descr': '%c%s', 'fortran_order': False, 'shape': (%s), }",
            dtype_bytes(t) > 1 ? '<' : '|', code, shape);
    /* Magic, version and length take 10 bytes; blanks and a newline fill up to the next 64. */
    int total = (10 + n + 1 + 63) / 64 * 64, len = total - 10;
    const unsigned char fixed[10] = {
        0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)len, (unsigned char)(len >> 8)};
    fwrite(fixed, 1, sizeof fixed, f);
    fprintf(f, "%-*s\n", len - 1, text);
    return ferror(f) ? err_set(e, ERR_OUTPUT, "the npy file cannot be written") : 0;
}
