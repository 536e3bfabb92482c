#include "model/core/h5.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES ((int64_t)1 << 20) /* the default chunk cache: larger ones would thrash it */
#define FIELD_RANK 8                   /* the most axes of a dataset */
#define MAX_LIST 4096
#define MAX_CHUNK ((hsize_t)256 << 20) /* of a file to be read: each needs that much memory */
#define MAX_FIXED 65536
#define MAX_LINKS 1000000
#define MAX_NAME 1000
#define MAX_TEXT ((size_t)1 << 20)

_Static_assert(sizeof(hid_t) == sizeof(int64_t), "handles are passed as int64_t");
_Static_assert(sizeof(haddr_t) == sizeof(uint64_t), "addresses are passed as uint64_t");

/* ---- one caller at a time ---- */

static pthread_mutex_t lock;

static void start(void)
{
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&lock, &a);
    pthread_mutexattr_destroy(&a);
    /* A file that could not be flushed (a full disk) would be tried again at exit. */
    H5dont_atexit();
}

int h5_enter(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static _Thread_local bool silent;
    pthread_once(&once, start);
    pthread_mutex_lock(&lock);
    if (!silent)
        H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    silent = true;
    return 0;
}

void h5_leave(int *scope)
{
    (void)scope;
    pthread_mutex_unlock(&lock);
}

void h5_release(int64_t *id)
{
    if (*id > 0)
        H5Idec_ref(*id);
    *id = H5I_INVALID_HID;
}

struct why {
    int code;
    char text[200];
};

static herr_t find_why(unsigned n, const H5E_error2_t *one, void *arg)
{
    struct why *w = arg;
    const char *desc = one->desc ? one->desc : "", *at = strstr(desc, "errno = ");
    if (n == 0)
        snprintf(w->text, sizeof w->text, "%s", desc);
    if (at && !w->code)
        w->code = (int)strtol(at + 8, NULL, 10);
    return 0;
}

int h5_fail(struct err *e, int code, const char *fmt, ...)
{
    struct why w = {0};
    char what[700];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, find_why, &w);
    if (w.code)
        return err_set(e, code, "%s: %s", what, strerror(w.code));
    if (*w.text)
        return err_set(e, code, "%s (HDF5: %s)", what, w.text);
    return err_set(e, code, "%s", what);
}

/* ---- types ---- */

static hid_t half_type(void)
{
    hid_t t = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(t, 15, 10, 5, 0, 10);
    H5Tset_size(t, 2);
    H5Tset_ebias(t, 15);
    return t;
}

static hid_t bool_type(void)
{
    hid_t t = H5Tenum_create(H5T_STD_I8LE);
    int8_t no = 0, yes = 1;
    H5Tenum_insert(t, "FALSE", &no);
    H5Tenum_insert(t, "TRUE", &yes);
    return t;
}

int64_t h5_type(enum dtype t)
{
    const hid_t plain[DT_COUNT] = {[DT_F32] = H5T_IEEE_F32LE,
        [DT_F64] = H5T_IEEE_F64LE,
        [DT_I8] = H5T_STD_I8LE,
        [DT_U8] = H5T_STD_U8LE,
        [DT_I16] = H5T_STD_I16LE,
        [DT_U16] = H5T_STD_U16LE,
        [DT_I32] = H5T_STD_I32LE,
        [DT_U32] = H5T_STD_U32LE,
        [DT_I64] = H5T_STD_I64LE,
        [DT_U64] = H5T_STD_U64LE};
    if (t == DT_F16)
        return half_type();
    if (t == DT_BOOL)
        return bool_type();
    return plain[t] ? H5Tcopy(plain[t]) : H5I_INVALID_HID;
}

int64_t h5_text_type(void)
{
    hid_t t = H5Tcopy(H5T_C_S1);
    H5Tset_size(t, H5T_VARIABLE);
    H5Tset_cset(t, H5T_CSET_UTF8);
    return t;
}

static bool is_half(hid_t type)
{
    H5_AUTO hid_t half = half_type();
    return H5Tequal(type, half) > 0;
}

bool h5_dtype(enum dtype *out, int64_t type)
{
    static const enum dtype ints[2][9] = {{[1] = DT_U8, [2] = DT_U16, [4] = DT_U32, [8] = DT_U64},
        {[1] = DT_I8, [2] = DT_I16, [4] = DT_I32, [8] = DT_I64}};
    size_t size = H5Tget_size(type);
    switch (H5Tget_class(type)) {
    case H5T_INTEGER:
        if (size != 1 && size != 2 && size != 4 && size != 8)
            return false;
        *out = ints[H5Tget_sign(type) == H5T_SGN_2][size];
        return true;
    case H5T_FLOAT:
        *out = size == 8 ? DT_F64 : size == 4 ? DT_F32 : DT_F16;
        return size == 8 || size == 4 || (size == 2 && is_half(type));
    case H5T_ENUM:
        *out = DT_BOOL;
        return size == 1 && H5Tget_nmembers(type) == 2;
    default:
        return false;
    }
}

/* ---- files and groups ---- */

/* Creation order is kept, so that blocks list as they were declared; attributes stay in the object
 * header, where a checksum covers them. */
static hid_t group_props(hid_t class)
{
    hid_t p = H5Pcreate(class);
    H5Pset_link_creation_order(p, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
    H5Pset_attr_creation_order(p, H5P_CRT_ORDER_TRACKED);
    H5Pset_attr_phase_change(p, 200, 100);
    if (class == H5P_GROUP_CREATE)
        H5Pset_obj_track_times(p, false);
    return p;
}

int h5_create(int64_t *file, const char *path, bool aligned, struct err *e)
{
    H5_SCOPE;
    H5_AUTO hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5_AUTO hid_t create = group_props(H5P_FILE_CREATE);
    H5AC_cache_config_t cache = {.version = H5AC__CURR_CACHE_CONFIG_VERSION};
    H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18);
    H5Pset_file_locking(access, false, true); /* the caller holds a lock of its own */
    /* Between two flushes no metadata reaches the disk: what lies there is whole after a crash. */
    if (H5Pget_mdc_config(access, &cache) >= 0) {
        cache.set_initial_size = true;
        cache.initial_size = cache.min_size = (size_t)16 << 20;
        cache.max_size = (size_t)64 << 20;
        H5Pset_mdc_config(access, &cache);
    }
    if (aligned)
        H5Pset_alignment(access, 65536, 4096);
    H5Pset_obj_track_times(create, false);
    *file = H5Fcreate(path, H5F_ACC_TRUNC, create, access);
    return *file < 0 ? h5_fail(e, ERR_OUTPUT, "cannot write %s", path) : 0;
}

int h5_open(int64_t *file, const char *path, struct err *e)
{
    struct stat st;
    *file = H5I_INVALID_HID;
    if (stat(path, &st) || access(path, R_OK))
        return err_set(e, ERR_INPUT, "cannot read %s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_INPUT, "%s is not a file", path);
    H5_SCOPE;
    H5_AUTO hid_t props = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_file_locking(props, true, true);
    if (H5Fis_hdf5(path) <= 0)
        return err_set(e, ERR_INPUT, "%s is not an HDF5 file", path);
    *file = H5Fopen(path, H5F_ACC_RDONLY, props);
    return *file < 0 ? h5_fail(e, ERR_INPUT, "%s is damaged or cut short", path) : 0;
}

int h5_group(int64_t *out, int64_t where, const char *name, struct err *e)
{
    H5_SCOPE;
    H5_AUTO hid_t props = group_props(H5P_GROUP_CREATE);
    *out = H5Gcreate2(where, name, H5P_DEFAULT, props, H5P_DEFAULT);
    return *out < 0 ? h5_fail(e, ERR_OUTPUT, "cannot write group %s", name) : 0;
}

/* ---- datasets ---- */

int64_t h5_chunk(int64_t *chunk, const int64_t *dim, int rank, int64_t value_bytes)
{
    int64_t room = CHUNK_BYTES / value_bytes;
    for (int i = rank - 1; i >= 0; i--) {
        chunk[i] = dim[i] < room ? dim[i] : room;
        if (chunk[i] < 1)
            chunk[i] = 1;
        /* Even parts: 1000 rows of which 600 fit make two chunks of 500. */
        int64_t parts = (dim[i] + chunk[i] - 1) / chunk[i];
        if (parts > 1)
            chunk[i] = (dim[i] + parts - 1) / parts;
        room /= chunk[i];
        if (room < 1)
            room = 1;
    }
    int64_t bytes = value_bytes;
    for (int i = 0; i < rank; i++)
        bytes *= chunk[i];
    return bytes;
}

static hid_t data_props(const struct h5_shape *s, hid_t type, int64_t total)
{
    hid_t p = H5Pcreate(H5P_DATASET_CREATE);
    int64_t value = (int64_t)H5Tget_size(type), chunk[FIELD_RANK];
    H5Pset_obj_track_times(p, false);
    H5Pset_attr_creation_order(p, H5P_CRT_ORDER_TRACKED);
    H5Pset_attr_phase_change(p, 200, 100);
    if (s->fill)
        H5Pset_fill_value(p, type, s->fill);
    if (s->rank && (total > 0 || s->grow)) {
        hsize_t dim[FIELD_RANK];
        if (s->grow)
            chunk[0] = s->grow;
        else
            h5_chunk(chunk, s->dim, s->rank, value);
        for (int i = 0; i < s->rank; i++)
            dim[i] = (hsize_t)chunk[i];
        H5Pset_chunk(p, s->rank, dim);
        if (H5Tis_variable_str(type) <= 0)
            H5Pset_fletcher32(p);
    } else if (total > 0) {
        H5Pset_layout(p, H5D_COMPACT);
    }
    return p;
}

int h5_dataset(int64_t *out, int64_t where, const char *name, int64_t type,
    const struct h5_shape *shape, struct err *e)
{
    H5_SCOPE;
    hsize_t dim[FIELD_RANK], most[FIELD_RANK];
    int64_t total = dims_count(shape->dim, shape->rank);
    if (shape->rank > FIELD_RANK || total < 0)
        return err_set(e, ERR_OUTPUT, "%s: its size cannot be stored", name);
    for (int i = 0; i < shape->rank; i++)
        most[i] = dim[i] = (hsize_t)shape->dim[i];
    if (shape->grow)
        most[0] = H5S_UNLIMITED;
    H5_AUTO hid_t space =
        shape->rank ? H5Screate_simple(shape->rank, dim, most) : H5Screate(H5S_SCALAR);
    H5_AUTO hid_t create = data_props(shape, type, total);
    H5_AUTO hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    /* Room for two chunks; whole ones leave first. */
    if (total > CHUNK_BYTES / 8)
        H5Pset_chunk_cache(access, 521, 2 * (size_t)CHUNK_BYTES, 1.0);
    *out = H5Dcreate2(where, name, type, space, H5P_DEFAULT, create, access);
    return *out < 0 ? h5_fail(e, ERR_OUTPUT, "cannot write dataset %s", name) : 0;
}

int h5_box(int64_t data, int64_t mem, int rank, const int64_t *start, const int64_t *count,
    const int64_t *stride, void *values, bool write, struct err *e)
{
    H5_SCOPE;
    hsize_t from[FIELD_RANK], n[FIELD_RANK], step[FIELD_RANK];
    H5_AUTO hid_t file = H5Dget_space(data);
    if (rank > FIELD_RANK || file < 0)
        return h5_fail(e, ERR_INPUT, "a dataset has no shape");
    for (int i = 0; i < rank; i++) {
        from[i] = (hsize_t)start[i];
        n[i] = (hsize_t)count[i];
        step[i] = stride ? (hsize_t)stride[i] : 1;
    }
    H5_AUTO hid_t box = rank ? H5Screate_simple(rank, n, NULL) : H5Screate(H5S_SCALAR);
    if (rank && H5Sselect_hyperslab(file, H5S_SELECT_SET, from, step, n, NULL) < 0)
        return h5_fail(e, ERR_INPUT, "a box outside its dataset");
    herr_t rc = write ? H5Dwrite(data, mem, box, file, H5P_DEFAULT, values)
                      : H5Dread(data, mem, box, file, H5P_DEFAULT, values);
    if (rc >= 0)
        return 0;
    return h5_fail(e, write ? ERR_OUTPUT : ERR_INPUT, "cannot %s", write ? "write" : "read");
}

int h5_append(int64_t data, int64_t mem, int64_t n, const void *values, struct err *e)
{
    H5_SCOPE;
    hsize_t now = 0;
    H5_AUTO hid_t space = H5Dget_space(data);
    if (n <= 0)
        return 0;
    H5Sget_simple_extent_dims(space, &now, NULL);
    int64_t from = (int64_t)now;
    now += (hsize_t)n;
    if (H5Dset_extent(data, &now) < 0)
        return h5_fail(e, ERR_OUTPUT, "cannot grow a dataset");
    return h5_box(data, mem, 1, &from, &n, NULL, (void *)values, true, e);
}

/* ---- attributes ---- */

static int put(int64_t at, const char *name, hid_t type, hid_t space, const void *v, struct err *e)
{
    if (H5Aexists(at, name) > 0)
        H5Adelete(at, name);
    H5_AUTO hid_t a = H5Acreate2(at, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (a < 0 || H5Awrite(a, type, v) < 0)
        return h5_fail(e, ERR_OUTPUT, "cannot write attribute %s", name);
    return 0;
}

int h5_put_text(int64_t at, const char *name, const char *text, struct err *e)
{
    H5_SCOPE;
    H5_AUTO hid_t type = h5_text_type();
    H5_AUTO hid_t space = H5Screate(H5S_SCALAR);
    return put(at, name, type, space, &text, e);
}

int h5_put_texts(int64_t at, const char *name, const char *const *texts, int n, struct err *e)
{
    H5_SCOPE;
    hsize_t dim = (hsize_t)n;
    H5_AUTO hid_t type = h5_text_type();
    H5_AUTO hid_t space = H5Screate_simple(1, &dim, NULL);
    return put(at, name, type, space, texts, e);
}

int h5_put_ints(int64_t at, const char *name, const int64_t *v, int n, struct err *e)
{
    H5_SCOPE;
    hsize_t dim = (hsize_t)n;
    H5_AUTO hid_t space = n ? H5Screate_simple(1, &dim, NULL) : H5Screate(H5S_SCALAR);
    return put(at, name, H5T_STD_I64LE, space, v, e);
}

int h5_put_float(int64_t at, const char *name, double v, struct err *e)
{
    H5_SCOPE;
    H5_AUTO hid_t space = H5Screate(H5S_SCALAR);
    return put(at, name, H5T_IEEE_F64LE, space, &v, e);
}

bool h5_has(int64_t at, const char *name)
{
    H5_SCOPE;
    return H5Aexists(at, name) > 0;
}

struct names {
    const char **names;
    int n;
    struct arena *arena;
    struct err *e;
    int rc;
};

static herr_t name_one(hid_t at, const char *name, const H5A_info_t *info, void *arg)
{
    struct names *l = arg;
    (void)at;
    (void)info;
    if (l->n == MAX_LIST || strlen(name) > MAX_NAME)
        return 1; /* more than anybody means */
    l->names[l->n] = arena_strdup(l->arena, name, l->e);
    return l->names[l->n++] ? 0 : (l->rc = ERR_LIMIT);
}

int h5_attrs(const char ***names, int *n, int64_t at, struct arena *a, struct err *e)
{
    H5_SCOPE;
    struct names l = {arena_array(a, MAX_LIST, sizeof *l.names, e), 0, a, e, 0};
    hsize_t from = 0;
    *n = 0;
    if (!(*names = l.names))
        return ERR_LIMIT;
    if (H5Aiterate2(at, H5_INDEX_NAME, H5_ITER_NATIVE, &from, name_one, &l) < 0 && !l.rc)
        l.rc = h5_fail(e, ERR_INPUT, "attributes cannot be listed");
    *n = l.n;
    return l.rc;
}

/* A string attribute, of fixed or free length, with its length bounded. */
static int get_text(struct h5_value *out, hid_t attr, hid_t type, struct arena *a, struct err *e)
{
    out->kind = H5_TEXT;
    if (H5Tis_variable_str(type) > 0) {
        char *s = NULL;
        H5_AUTO hid_t mem = H5Tcopy(type);
        if (H5Aread(attr, mem, &s) < 0)
            return h5_fail(e, ERR_INPUT, "an attribute cannot be read");
        out->text = arena_strndup(a, s ? s : "", s ? strnlen(s, MAX_TEXT) : 0, e);
        H5free_memory(s);
        return out->text ? 0 : ERR_LIMIT;
    }
    size_t size = H5Tget_size(type);
    if (size > MAX_TEXT)
        return err_set(e, ERR_INPUT, "an attribute of %zu bytes", size);
    char *s = arena_zalloc(a, size + 1, e);
    if (!s)
        return ERR_LIMIT;
    if (H5Aread(attr, type, s) < 0)
        return h5_fail(e, ERR_INPUT, "an attribute cannot be read");
    out->text = s;
    return 0;
}

static int get_numbers(
    struct h5_value *out, hid_t attr, enum dtype t, int n, struct arena *a, struct err *e)
{
    bool real = t == DT_F16 || t == DT_F32 || t == DT_F64;
    if (real) {
        out->kind = n == 1 ? H5_FLOAT : H5_OTHER;
        if (n == 1 && H5Aread(attr, H5T_NATIVE_DOUBLE, &out->f) < 0)
            return h5_fail(e, ERR_INPUT, "an attribute cannot be read");
        return 0;
    }
    out->kind = n == 1 ? H5_INT : H5_INTS;
    out->n = n;
    out->list = arena_array(a, (size_t)n, sizeof *out->list, e);
    if (!out->list)
        return ERR_LIMIT;
    if (t == DT_BOOL) {
        int8_t flag = 0;
        if (n == 1 && H5Aread(attr, H5T_NATIVE_INT8, &flag) < 0)
            flag = 0;
        out->list[0] = flag;
    } else if (H5Aread(attr, H5T_NATIVE_INT64, out->list) < 0) {
        return h5_fail(e, ERR_INPUT, "an attribute cannot be read");
    }
    out->i = out->list[0];
    out->f = (double)out->i;
    return 0;
}

int h5_get(struct h5_value *out, int64_t at, const char *name, struct arena *a, struct err *e)
{
    H5_SCOPE;
    enum dtype t;
    *out = (struct h5_value){.kind = H5_OTHER, .text = ""};
    H5_AUTO hid_t attr = H5Aopen(at, name, H5P_DEFAULT);
    if (attr < 0)
        return h5_fail(e, ERR_INPUT, "attribute %s cannot be read", name);
    H5_AUTO hid_t type = H5Aget_type(attr);
    H5_AUTO hid_t space = H5Aget_space(attr);
    hssize_t n = H5Sget_simple_extent_npoints(space);
    if (type < 0 || n < 1 || n > MAX_LIST)
        return 0;
    if (H5Tget_class(type) == H5T_STRING && n == 1)
        return get_text(out, attr, type, a, e);
    if (h5_dtype(&t, type) && !(t == DT_BOOL && n > 1))
        return get_numbers(out, attr, t, (int)n, a, e);
    return 0;
}

/* ---- strings ---- */

struct bounded {
    struct arena *arena;
    size_t left;
};

static void *bounded_alloc(size_t n, void *arg)
{
    struct bounded *b = arg;
    if (n > b->left)
        return NULL;
    b->left -= n;
    return arena_zalloc(b->arena, n + 1, NULL);
}

static void bounded_free(void *p, void *arg)
{
    (void)p;
    (void)arg;
}

/* Lengths come from the file: memory is handed out up to a bound. */
static hid_t bounded_props(struct bounded *b)
{
    hid_t p = H5Pcreate(H5P_DATASET_XFER);
    H5Pset_vlen_mem_manager(p, bounded_alloc, b, bounded_free, NULL);
    return p;
}

static int fixed_texts(const char **out, int64_t data, hid_t type, int64_t start, int64_t n,
    size_t max_bytes, struct arena *a, struct err *e)
{
    size_t size = H5Tget_size(type), bytes;
    if (__builtin_mul_overflow(size, (size_t)n, &bytes) || bytes > max_bytes)
        return err_set(e, ERR_INPUT, "strings of %zu bytes each are too large", size);
    char *raw = arena_alloc(a, bytes + 1, e), *text = arena_alloc(a, bytes + (size_t)n + 1, e);
    int rc = raw && text ? h5_box(data, type, 1, &start, &n, NULL, raw, false, e) : ERR_LIMIT;
    for (int64_t i = 0; i < n && !rc; i++) {
        memcpy(text, raw + (size_t)i * size, size);
        text[size] = '\0';
        out[i] = text;
        text += size + 1;
    }
    return rc;
}

int h5_texts(const char **out, int64_t data, int64_t start, int64_t n, size_t max_bytes,
    struct arena *a, struct err *e)
{
    H5_SCOPE;
    H5_AUTO hid_t type = H5Dget_type(data);
    H5_AUTO hid_t file = H5Dget_space(data);
    if (H5Tget_class(type) != H5T_STRING || H5Sget_simple_extent_ndims(file) > 1)
        return err_set(e, ERR_INPUT, "a list of strings is not one");
    if (n <= 0)
        return 0;
    if (H5Tis_variable_str(type) <= 0)
        return fixed_texts(out, data, type, start, n, max_bytes, a, e);
    struct bounded b = {a, max_bytes};
    hsize_t from = (hsize_t)start, count = (hsize_t)n;
    bool scalar = H5Sget_simple_extent_ndims(file) == 0;
    H5_AUTO hid_t box = scalar ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &count, NULL);
    H5_AUTO hid_t how = bounded_props(&b);
    memset((void *)out, 0, (size_t)n * sizeof *out);
    if ((!scalar && H5Sselect_hyperslab(file, H5S_SELECT_SET, &from, NULL, &count, NULL) < 0) ||
        H5Dread(data, type, box, file, how, (void *)out) < 0)
        return h5_fail(e, ERR_INPUT, "strings cannot be read");
    for (int64_t i = 0; i < n; i++)
        if (!out[i])
            out[i] = "";
    return 0;
}

/* ---- what is in a file ---- */

int64_t h5_open_group(int64_t where, const char *name)
{
    H5_SCOPE;
    return H5Gopen2(where, name, H5P_DEFAULT);
}

int64_t h5_open_data(int64_t where, const char *path)
{
    H5_SCOPE;
    H5_AUTO hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    hid_t data = H5Dopen2(where, path, access);
    H5_AUTO hid_t create = data < 0 ? H5I_INVALID_HID : H5Dget_create_plist(data);
    H5_AUTO hid_t type = data < 0 ? H5I_INVALID_HID : H5Dget_type(data);
    hsize_t dim[H5S_MAX_RANK], bytes = type < 0 ? 0 : H5Tget_size(type);
    if (data < 0 || H5Pget_layout(create) != H5D_CHUNKED)
        return data;
    int rank = H5Pget_chunk(create, H5S_MAX_RANK, dim);
    for (int i = 0; i < rank && bytes <= MAX_CHUNK; i++)
        bytes = dim[i] > MAX_CHUNK ? MAX_CHUNK + 1 : bytes * dim[i];
    if (bytes <= (hsize_t)CHUNK_BYTES / 2)
        return data;
    h5_release(&data);
    if (bytes > MAX_CHUNK)
        return data;
    H5Pset_chunk_cache(access, 10007, 2 * (size_t)bytes, 1.0);
    return H5Dopen2(where, path, access);
}

struct listing {
    struct h5_link *links;
    int n, cap;
    struct arena *arena;
    struct err *e;
    int rc;
};

static herr_t list_one(hid_t group, const char *name, const H5L_info_t *link, void *arg)
{
    struct listing *l = arg;
    H5O_info_t info;
    if (link->type != H5L_TYPE_HARD || strlen(name) > MAX_NAME)
        return 0;
    if (H5Oget_info_by_name2(group, name, &info, H5O_INFO_BASIC, H5P_DEFAULT) < 0)
        return l->rc = h5_fail(l->e, ERR_INPUT, "\"%.100s\" cannot be read", name);
    if (l->n == MAX_LINKS)
        return l->rc = err_set(l->e, ERR_INPUT, "a group of more than %d objects", MAX_LINKS);
    if (l->n == l->cap) {
        int cap = l->cap ? l->cap * 2 : 16;
        struct h5_link *more = realloc(l->links, (size_t)cap * sizeof *more);
        if (!more)
            return l->rc = err_set(l->e, ERR_LIMIT, "out of memory (%d links)", cap);
        l->links = more;
        l->cap = cap;
    }
    const char *copy = arena_strdup(l->arena, name, l->e);
    if (!copy)
        return l->rc = ERR_LIMIT;
    l->links[l->n++] = (struct h5_link){
        copy, info.type == H5O_TYPE_GROUP, info.type == H5O_TYPE_DATASET, info.addr};
    return 0;
}

int h5_list(struct h5_link **out, int *n, int64_t group, struct arena *a, struct err *e)
{
    H5_SCOPE;
    struct listing l = {.arena = a, .e = e};
    unsigned order = 0;
    *n = 0;
    *out = NULL;
    H5_AUTO hid_t props = H5Gget_create_plist(group);
    if (props < 0 || H5Pget_link_creation_order(props, &order) < 0)
        order = 0;
    H5_index_t by = order & H5P_CRT_ORDER_INDEXED ? H5_INDEX_CRT_ORDER : H5_INDEX_NAME;
    if (H5Literate(group, by, H5_ITER_INC, NULL, list_one, &l) < 0 && !l.rc)
        l.rc = h5_fail(e, ERR_INPUT, "a group cannot be listed");
    if (!l.rc && l.n && !(*out = arena_array(a, (size_t)l.n, sizeof **out, e)))
        l.rc = ERR_LIMIT;
    if (*out) {
        memcpy(*out, l.links, (size_t)l.n * sizeof **out);
        *n = l.n;
    }
    free(l.links);
    return l.rc;
}

static int describe_table(struct h5_info *out, hid_t type, struct arena *a, struct err *e)
{
    int n = H5Tget_nmembers(type);
    if (n < 1 || n > MAX_LIST)
        return out->why = "a table of too many columns", 0;
    if (!(out->member = arena_array(a, (size_t)n, sizeof *out->member, e)))
        return ERR_LIMIT;
    for (int i = 0; i < n; i++) {
        H5_AUTO hid_t one = H5Tget_member_type(type, (unsigned)i);
        struct h5_member m = {.is_text = H5Tget_class(one) == H5T_STRING};
        bool fits = !m.is_text || H5Tis_variable_str(one) > 0 || H5Tget_size(one) <= MAX_FIXED;
        if (!fits || (!m.is_text && !h5_dtype(&m.dtype, one)))
            continue;
        char *name = H5Tget_member_name(type, (unsigned)i);
        m.name = arena_strndup(a, name ? name : "", name ? strnlen(name, MAX_NAME) : 0, e);
        H5free_memory(name);
        if (!m.name)
            return ERR_LIMIT;
        out->member[out->n_members++] = m;
    }
    if (out->n_members)
        out->kind = H5_TABLE;
    else
        out->why = "a table without numbers or text";
    return 0;
}

int h5_describe(struct h5_info *out, int64_t data, struct arena *a, struct err *e)
{
    H5_SCOPE;
    hsize_t dim[H5S_MAX_RANK];
    *out = (struct h5_info){.kind = H5_STRANGE, .why = "a type that sonde does not know"};
    H5_AUTO hid_t type = H5Dget_type(data);
    H5_AUTO hid_t space = H5Dget_space(data);
    H5_AUTO hid_t create = H5Dget_create_plist(data);
    int rank = space < 0 ? -1 : H5Sget_simple_extent_dims(space, dim, NULL);
    if (type < 0 || create < 0 || rank < 0 || rank > H5S_MAX_RANK)
        return h5_fail(e, ERR_INPUT, "its shape cannot be read");
    out->rank = rank;
    for (int i = 0; i < rank; i++) {
        if (dim[i] > INT64_MAX)
            return err_set(e, ERR_INPUT, "axis %d of size %llu", i, (unsigned long long)dim[i]);
        out->dim[i] = (int64_t)dim[i];
    }
    out->stored = (int64_t)H5Dget_storage_size(data);
    H5S_class_t class = H5Sget_simple_extent_type(space);
    H5D_layout_t layout = H5Pget_layout(create);
    if (class == H5S_NULL)
        return out->why = "an empty dataspace", 0;
    if (layout == H5D_VIRTUAL || (layout == H5D_CONTIGUOUS && H5Pget_external_count(create) > 0))
        return out->why = "values in other files", 0;
    if (dims_count(out->dim, rank) < 0 || dims_count(out->dim, rank) > INT64_MAX / 64)
        return err_set(e, ERR_INPUT, "its size overflows");
    if (H5Tget_class(type) == H5T_COMPOUND)
        return describe_table(out, type, a, e);
    if (H5Tget_class(type) == H5T_STRING)
        out->kind = H5_TEXTS;
    else if (h5_dtype(&out->dtype, type))
        out->kind = H5_NUMBERS;
    return 0;
}

/* The type in memory of the wanted members: numbers as double, texts as they are stored. */
static hid_t row_type(int64_t data, const struct h5_member *m, int n, size_t *at, size_t *total)
{
    H5_AUTO hid_t file = H5Dget_type(data);
    H5_AUTO hid_t first = H5Tcreate(H5T_COMPOUND, (size_t)1 << 24);
    size_t end = 0;
    for (int i = 0; i < n; i++) {
        int index = H5Tget_member_index(file, m[i].name);
        H5_AUTO hid_t own = index < 0 ? H5I_INVALID_HID : H5Tget_member_type(file, (unsigned)index);
        hid_t one = m[i].is_text ? own : H5T_NATIVE_DOUBLE;
        at[i] = end = (end + 7) & ~(size_t)7;
        if (own < 0 || H5Tinsert(first, m[i].name, end, one) < 0)
            return H5I_INVALID_HID;
        end += H5Tget_size(one);
    }
    *total = (end + 7) & ~(size_t)7;
    hid_t type = H5Tcopy(first);
    H5Tset_size(type, *total);
    return type;
}

int h5_rows(union h5_cell *out, int64_t data, const struct h5_member *m, int n, int64_t first,
    int64_t count, size_t max_bytes, struct arena *a, struct err *e)
{
    H5_SCOPE;
    struct bounded b = {a, max_bytes};
    size_t *at = arena_array(a, (size_t)n, sizeof *at, e), row;
    H5_AUTO hid_t type = at ? row_type(data, m, n, at, &row) : H5I_INVALID_HID;
    if (!at || type < 0)
        return at ? h5_fail(e, ERR_INPUT, "its columns cannot be read") : ERR_LIMIT;
    char *raw = arena_alloc(a, row * (size_t)count, e);
    if (!raw)
        return ERR_LIMIT;
    memset(raw, 0, row * (size_t)count);
    hsize_t from = (hsize_t)first, len = (hsize_t)count;
    H5_AUTO hid_t file = H5Dget_space(data);
    H5_AUTO hid_t box = H5Screate_simple(1, &len, NULL);
    H5_AUTO hid_t how = bounded_props(&b);
    if (H5Sselect_hyperslab(file, H5S_SELECT_SET, &from, NULL, &len, NULL) < 0 ||
        H5Dread(data, type, box, file, how, raw) < 0)
        return h5_fail(e, ERR_INPUT, "rows cannot be read");
    for (int k = 0; k < n; k++) {
        H5_AUTO hid_t one = H5Tget_member_type(type, (unsigned)k);
        bool fixed = m[k].is_text && H5Tis_variable_str(one) <= 0;
        size_t size = H5Tget_size(one);
        for (int64_t i = 0; i < count; i++) {
            const char *p = raw + (size_t)i * row + at[k];
            union h5_cell *to = &out[i * n + k];
            memcpy(to, p, sizeof *to < size ? sizeof *to : size);
            if (fixed && !(to->text = arena_strndup(a, p, strnlen(p, size), e)))
                return ERR_LIMIT;
            if (m[k].is_text && !to->text)
                to->text = "";
        }
    }
    return 0;
}

/* ---- dimension scales: the HDF5 Dimension Scale specification, written at once instead of one
 * attachment after the other, each of which rewrites the lists ---- */

uint64_t h5_address(int64_t object)
{
    H5_SCOPE;
    hobj_ref_t ref = 0;
    return H5Rcreate(&ref, object, ".", H5R_OBJECT, -1) < 0 ? 0 : ref;
}

int h5_put_axes(
    int64_t data, int rank, const char *const *names, const uint64_t *scale, struct err *e)
{
    H5_SCOPE;
    hvl_t list[FIELD_RANK];
    hsize_t dim = (hsize_t)rank;
    bool any = false;
    hobj_ref_t refs[FIELD_RANK];
    int rc = rank > 0 ? h5_put_texts(data, "DIMENSION_LABELS", names, rank, e) : 0;
    for (int i = 0; i < rank; i++) {
        refs[i] = scale ? scale[i] : 0;
        list[i] = (hvl_t){refs[i] ? 1 : 0, refs[i] ? &refs[i] : NULL};
        any = any || refs[i];
    }
    if (rc || !any)
        return rc;
    H5_AUTO hid_t type = H5Tvlen_create(H5T_STD_REF_OBJ);
    H5_AUTO hid_t space = H5Screate_simple(1, &dim, NULL);
    return put(data, "DIMENSION_LIST", type, space, list, e);
}

int h5_put_scale(int64_t data, const char *name, const struct h5_user *users, int n, struct err *e)
{
    H5_SCOPE;
    H5_AUTO hid_t word = H5Tcopy(H5T_C_S1);
    H5_AUTO hid_t one = H5Screate(H5S_SCALAR);
    int rc = 0;
    if (!h5_has(data, "CLASS")) {
        H5Tset_size(word, sizeof "DIMENSION_SCALE");
        rc = put(data, "CLASS", word, one, "DIMENSION_SCALE", e);
        H5Tset_size(word, strlen(name) + 1);
        if (!rc)
            rc = put(data, "NAME", word, one, name, e);
    }
    if (rc || n <= 0)
        return rc;
    struct pair {
        hobj_ref_t data;
        int32_t axis;
        int32_t pad;
    } *list = calloc((size_t)n, sizeof *list);
    if (!list)
        return err_set(e, ERR_LIMIT, "out of memory (%d uses of an axis)", n);
    for (int i = 0; i < n; i++)
        list[i] = (struct pair){users[i].data, users[i].axis, 0};
    hsize_t dim = (hsize_t)n;
    H5_AUTO hid_t type = H5Tcreate(H5T_COMPOUND, sizeof *list);
    H5_AUTO hid_t space = H5Screate_simple(1, &dim, NULL);
    H5Tinsert(type, "dataset", offsetof(struct pair, data), H5T_STD_REF_OBJ);
    H5Tinsert(type, "dimension", offsetof(struct pair, axis), H5T_STD_I32LE);
    rc = put(data, "REFERENCE_LIST", type, space, list, e);
    free(list);
    return rc;
}

/* An attribute with one value per axis, whose elements are of the class; negative: there is none. */
static hid_t axes_attr(int64_t data, const char *name, int rank, H5T_class_t class)
{
    if (H5Aexists(data, name) <= 0)
        return H5I_INVALID_HID;
    hid_t a = H5Aopen(data, name, H5P_DEFAULT);
    H5_AUTO hid_t type = a < 0 ? H5I_INVALID_HID : H5Aget_type(a);
    H5_AUTO hid_t space = a < 0 ? H5I_INVALID_HID : H5Aget_space(a);
    if (a >= 0 && (H5Tget_class(type) != class || H5Sget_simple_extent_npoints(space) != rank))
        h5_release(&a);
    return a;
}

int h5_axes(
    const char **names, int64_t data, const char *attribute, int n, struct arena *a, struct err *e)
{
    H5_SCOPE;
    for (int i = 0; i < n; i++)
        names[i] = NULL;
    H5_AUTO hid_t attr = axes_attr(data, attribute, n, H5T_STRING);
    H5_AUTO hid_t type = attr < 0 ? H5I_INVALID_HID : H5Aget_type(attr);
    if (attr < 0 || n < 1 || H5Tis_variable_str(type) <= 0)
        return 0;
    char **s = arena_zalloc(a, (size_t)n * sizeof *s, e);
    if (!s)
        return ERR_LIMIT;
    if (H5Aread(attr, type, s) < 0)
        return h5_fail(e, ERR_INPUT, "attribute %s cannot be read", attribute);
    int rc = 0;
    for (int i = 0; i < n; i++) {
        if (s[i] && *s[i] && !(names[i] = arena_strndup(a, s[i], strnlen(s[i], 200), e)))
            rc = ERR_LIMIT;
        H5free_memory(s[i]);
    }
    return rc;
}

int64_t h5_scale(int64_t data, int rank, int axis)
{
    H5_SCOPE;
    hvl_t list[FIELD_RANK] = {{0, NULL}};
    H5_AUTO hid_t attr = axes_attr(data, "DIMENSION_LIST", rank, H5T_VLEN);
    if (attr < 0 || rank > FIELD_RANK)
        return H5I_INVALID_HID;
    H5_AUTO hid_t type = H5Aget_type(attr);
    H5_AUTO hid_t base = H5Tget_super(type);
    H5_AUTO hid_t space = H5Aget_space(attr);
    if (H5Tequal(base, H5T_STD_REF_OBJ) <= 0 || H5Aread(attr, type, list) < 0)
        return H5I_INVALID_HID;
    hid_t found = H5I_INVALID_HID;
    if (list[axis].len > 0)
        found = H5Rdereference2(data, H5P_DEFAULT, H5R_OBJECT, list[axis].p);
    H5Dvlen_reclaim(type, space, H5P_DEFAULT, list);
    if (found >= 0 && H5Iget_type(found) != H5I_DATASET)
        h5_release(&found);
    return found;
}
