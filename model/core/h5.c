#include "model/core/h5.h"

#include <hdf5.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLICE_BYTES ((int64_t)8 << 10)
#define CHUNK_BYTES ((int64_t)1 << 20) /* the default chunk cache: larger ones would thrash it */
#define FORGET_BYTES ((size_t)48 << 10)
#define FIELD_RANK 32 /* the most axes of a dataset: HDF5's own limit */

_Static_assert(sizeof(hid_t) == sizeof(int64_t), "handles are passed as int64_t");
_Static_assert(sizeof(haddr_t) == sizeof(uint64_t), "addresses are passed as uint64_t");

/* ---- one caller at a time ---- */

static pthread_mutex_t lock;

/* In a child too: a recursive lock knows its owner by a number that a fork changes. */
void h5_after_fork(void)
{
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&lock, &a);
    pthread_mutexattr_destroy(&a);
}

static void start(void)
{
    h5_after_fork();
    /* A file that could not be flushed (a full disk) would be tried again at exit. */
    H5dont_atexit();
    /* What it frees it keeps for itself, up to 40 MB; malloc does that as well and for all. */
    H5set_free_list_limits(65536, 16384, 65536, 16384, 65536, 16384);
    h5_read_start();
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

/* least: bytes of metadata that are kept in memory. */
static hid_t writer_props(bool aligned, H5F_libver_t newest, size_t least)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5AC_cache_config_t cache = {.version = H5AC__CURR_CACHE_CONFIG_VERSION};
    H5Pset_libver_bounds(access, H5F_LIBVER_V18, newest);
    H5Pset_file_locking(access, false, true); /* the caller holds a lock of its own */
    /* A chunk of a growing table is written again with every flush: within one page, where a killed
     * process cannot leave half a write. */
    H5Pset_alignment(access, 2048, 4096);
    if (H5Pget_mdc_config(access, &cache) >= 0) {
        cache.set_initial_size = true;
        cache.initial_size = cache.min_size = least;
        cache.max_size = 4 * least;
        H5Pset_mdc_config(access, &cache);
    }
    if (aligned)
        H5Pset_alignment(access, 65536, 4096);
    return access;
}

static int create_file(
    int64_t *file, const char *path, bool aligned, H5F_libver_t newest, size_t least, struct err *e)
{
    H5_SCOPE;
    H5_AUTO hid_t access = writer_props(aligned, newest, least);
    H5_AUTO hid_t create = group_props(H5P_FILE_CREATE);
    H5Pset_obj_track_times(create, false);
    *file = H5Fcreate(path, H5F_ACC_TRUNC, create, access);
    return *file < 0 ? h5_fail(e, ERR_OUTPUT, "cannot write %s", path) : 0;
}

/* A flush walks over every entry of the cache, clean ones too: with all that was ever written in it,
 * a report of many inputs would take time that grows with their square. The cache makes room when
 * something new comes in, so its limit is lowered for the time of one short-lived group. */
int h5_forget_metadata(int64_t file, struct err *e)
{
    H5_SCOPE;
    H5AC_cache_config_t cache = {.version = H5AC__CURR_CACHE_CONFIG_VERSION};
    size_t size = 0;
    if (H5Fget_mdc_size(file, NULL, NULL, &size, NULL) < 0 || size < FORGET_BYTES ||
        H5Fget_mdc_config(file, &cache) < 0)
        return 0;
    H5AC_cache_config_t small = cache;
    small.set_initial_size = cache.set_initial_size = true;
    small.initial_size = small.min_size = small.max_size = FORGET_BYTES / 8;
    if (H5Fset_mdc_config(file, &small) < 0)
        return 0;
    H5_AUTO hid_t group = H5Gcreate_anon(file, H5P_DEFAULT, H5P_DEFAULT);
    bool failed = group < 0;
    if (H5Fset_mdc_config(file, &cache) < 0 || failed)
        return h5_fail(e, ERR_OUTPUT, "cannot write");
    return 0;
}

/* Between two flushes no metadata reaches the disk: what lies there is whole after a crash. A file
 * that is written at once has no use for that. */
#define GROWING ((size_t)16 << 20)

int h5_create(int64_t *file, const char *path, bool aligned, struct err *e)
{
    return create_file(file, path, aligned, H5F_LIBVER_V18, aligned ? (size_t)1 << 20 : GROWING, e);
}

int h5_reopen(int64_t *file, const char *path, struct err *e)
{
    H5_SCOPE;
    H5_AUTO hid_t access = writer_props(false, H5F_LIBVER_V18, GROWING);
    int closed = *file < 0 || H5Fclose(*file) >= 0;
    *file = closed ? H5Fopen(path, H5F_ACC_RDWR, access) : H5I_INVALID_HID;
    return *file < 0 ? h5_fail(e, ERR_OUTPUT, "cannot write %s", path) : 0;
}

int h5_create_virtual(int64_t *file, const char *path, struct err *e)
{
    return create_file(file, path, false, H5F_LIBVER_V110, (size_t)1 << 20, e);
}

int h5_group(int64_t *out, int64_t where, const char *name, struct err *e)
{
    H5_SCOPE;
    H5_AUTO hid_t props = group_props(H5P_GROUP_CREATE);
    *out = H5Gcreate2(where, name, H5P_DEFAULT, props, H5P_DEFAULT);
    return *out < 0 ? h5_fail(e, ERR_OUTPUT, "cannot write group %s", name) : 0;
}

bool h5_holds(int64_t group, const char *name)
{
    H5_SCOPE;
    return H5Lexists(group, name, H5P_DEFAULT) > 0;
}

int64_t h5_open_at(int64_t file, uint64_t address)
{
    H5_SCOPE;
    return H5Oopen_by_addr(file, address);
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

/* Slices that are small share a chunk: thousands of chunks of a few bytes cost more than they hold. */
static int64_t slices_of_chunk(const int64_t *chunk, int rank, int64_t value_bytes, int64_t slices)
{
    int64_t bytes = value_bytes;
    for (int i = 1; i < rank; i++)
        bytes *= chunk[i];
    const int64_t n = SLICE_BYTES / (bytes > 0 ? bytes : 1);
    return n < 1 ? 1 : n < slices ? n : slices;
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
    /* A list of strings has no checksum that chunks could carry, and their index would be many times
     * what the strings take. */
    bool is_list = !s->grow && s->rank && H5Tis_variable_str(type) > 0;
    if (s->rank && !is_list && (total > 0 || s->grow)) {
        hsize_t dim[FIELD_RANK];
        if (s->grow)
            chunk[0] = s->grow;
        else
            h5_chunk(chunk, s->dim, s->rank, value);
        if (s->by_slice)
            chunk[0] = slices_of_chunk(chunk, s->rank, value, s->dim[0]);
        for (int i = 0; i < s->rank; i++)
            dim[i] = (hsize_t)chunk[i];
        H5Pset_chunk(p, s->rank, dim);
        if (H5Tis_variable_str(type) <= 0)
            H5Pset_fletcher32(p);
    } else if (total > 0 && !is_list) {
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
    /* Room for the chunk that slices or rows go to one after the other, however long it grows; else
     * for two, and whole ones leave first. */
    if (shape->by_slice || shape->grow)
        H5Pset_chunk_cache(access, 17, SLICE_BYTES, 1.0);
    else if (total > CHUNK_BYTES / 8)
        H5Pset_chunk_cache(access, 521, 2 * (size_t)CHUNK_BYTES, 1.0);
    *out = H5Dcreate2(where, name, type, space, H5P_DEFAULT, create, access);
    return *out < 0 ? h5_fail(e, ERR_OUTPUT, "cannot write dataset %s", name) : 0;
}

int64_t h5_open_slices(int64_t where, const char *path)
{
    H5_SCOPE;
    H5_AUTO hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    H5Pset_chunk_cache(access, 17, SLICE_BYTES, 1.0);
    return H5Dopen2(where, path, access);
}

int64_t h5_transfer(size_t value_bytes)
{
    static hid_t small = H5I_INVALID_HID;
    if (small < 0) {
        small = H5Pcreate(H5P_DATASET_XFER);
        H5Pset_buffer(small, 64 << 10, NULL, NULL);
    }
    return value_bytes > 8 << 10 ? H5P_DEFAULT : small;
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
    int64_t how = h5_transfer(H5Tget_size(mem));
    herr_t rc = write ? H5Dwrite(data, mem, box, file, how, values)
                      : H5Dread(data, mem, box, file, how, values);
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
