#include "model/core/h5.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/core/h5_heap.h"

/* Reading files that others made, and may have made to harm. */

#define FIELD_RANK 32            /* the most axes of a dataset: HDF5's own limit */
#define CACHE ((hsize_t)1 << 20) /* of chunks, if nobody asks for more */
#define MAX_LIST 4096
#define MAX_TEXT ((size_t)1 << 20)
#define MAX_CHUNK ((hsize_t)256 << 20) /* each needs that much memory */
#define MAX_FIXED 65536
#define MAX_LINKS 1000000
#define MAX_NAME 1000
#define MAX_SOURCES 100000

/* ---- strings and lists of any length: references into global heaps, read by our own hands ---- */

/* What the conversions below read from; there is one caller at a time. */
struct source {
    struct h5_heaps heaps;
    struct arena *arena;
    size_t left; /* lengths come from the file: memory is handed out up to a bound */
    struct source *outer;
};

static struct source *source; /* NULL: nothing is being read */

static void source_end(struct source *s)
{
    h5_heaps_release(&s->heaps);
    source = s->outer;
}

static struct source source_begin(int64_t object, struct arena *a, size_t max_bytes)
{
    struct source s = {.heaps.fd = -1, .arena = a, .left = max_bytes, .outer = source};
    H5_AUTO hid_t file = H5Iget_file_id(object);
    H5_AUTO hid_t props = file < 0 ? H5I_INVALID_HID : H5Fget_create_plist(file);
    hsize_t block = 0, size = 0;
    int *fd = NULL;
    if (props >= 0 && H5Pget_userblock(props, &block) >= 0 && H5Fget_filesize(file, &size) >= 0 &&
        H5Fget_vfd_handle(file, H5P_DEFAULT, (void **)&fd) >= 0 && fd && block <= size) {
        s.heaps.fd = *fd;
        s.heaps.base = block;
        s.heaps.size = size - block;
    }
    return s;
}

#define SAFE_STRINGS(object, arena, max_bytes)                                                     \
    struct source source_ __attribute__((cleanup(source_end))) =                                   \
        source_begin(object, arena, max_bytes);                                                    \
    source = &source_

/* The bytes behind one reference (length u32, address u64, index u32), NUL-terminated; NULL in *out
 * where there are none. */
static bool follow(char **out, uint32_t *len, const char *ref, size_t value_bytes)
{
    uint64_t address, bytes;
    uint32_t index;
    const void *data;
    memcpy(len, ref, 4);
    memcpy(&address, ref + 4, 8);
    memcpy(&index, ref + 12, 4);
    *out = NULL;
    bytes = (uint64_t)*len * value_bytes;
    if (!bytes)
        return true;
    if (!source || source->heaps.fd < 0 || bytes > source->left ||
        h5_heap_object(&data, &source->heaps, address, index, bytes))
        return false;
    source->left -= bytes;
    *out = arena_alloc(source->arena, bytes + 1, NULL);
    if (*out) {
        memcpy(*out, data, bytes);
        (*out)[bytes] = '\0';
    }
    return *out;
}

/* From disk (16 bytes) to char *; the other way around libhdf5 does it. */
static herr_t read_strings(hid_t src, hid_t dst, H5T_cdata_t *data, size_t n, size_t stride,
    size_t bkg_stride, void *buf, void *bkg, hid_t props)
{
    (void)bkg_stride;
    (void)bkg;
    (void)props;
    if (data->command == H5T_CONV_INIT)
        return H5Tis_variable_str(src) > 0 && H5Tis_variable_str(dst) > 0 &&
                       H5Tget_size(src) == 16 && H5Tget_size(dst) == sizeof(char *)
                   ? 0
                   : -1;
    for (size_t i = 0; data->command == H5T_CONV_CONV && i < n; i++) {
        char *text;
        uint32_t len;
        if (!follow(&text, &len, (char *)buf + i * (stride ? stride : 16), 1))
            return -1;
        memcpy((char *)buf + i * (stride ? stride : sizeof text), &text, sizeof text);
    }
    return 0;
}

static herr_t read_refs(hid_t src, hid_t dst, H5T_cdata_t *data, size_t n, size_t stride,
    size_t bkg_stride, void *buf, void *bkg, hid_t props)
{
    (void)dst;
    (void)bkg_stride;
    (void)bkg;
    (void)props;
    if (data->command == H5T_CONV_INIT)
        return H5Tget_size(src) == 16 && H5Tis_variable_str(src) <= 0 ? 0 : -1;
    for (size_t i = 0; data->command == H5T_CONV_CONV && i < n; i++) {
        char *refs, *at = (char *)buf + i * (stride ? stride : 16);
        uint32_t len;
        if (!follow(&refs, &len, at, sizeof(hobj_ref_t)))
            return -1;
        hvl_t list = {refs ? len : 0, refs};
        memcpy(at, &list, sizeof list);
    }
    return 0;
}

void h5_read_start(void)
{
    H5_AUTO hid_t text = h5_text_type();
    H5Tregister(H5T_PERS_SOFT, "sonde_strings", text, text, read_strings);
}

/* ---- files ---- */

bool h5_is_checked(const char *path)
{
    unsigned char head[9] = {0};
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a pipe would wait for its writer */
    bool whole = fd >= 0 && read(fd, head, sizeof head) == (ssize_t)sizeof head;
    if (fd >= 0)
        close(fd);
    /* Not HDF5 at all is for h5_open to say; superblocks 0 and 1 belong to the older formats. */
    return !whole || memcmp(head, "\x89HDF\r\n\x1a\n", 8) || head[8] == 2 || head[8] == 3;
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
    if (*file < 0)
        return h5_fail(e, ERR_INPUT, "%s is damaged or cut short", path);
    size_t address = 0, length = 0;
    H5_AUTO hid_t create = H5Fget_create_plist(*file);
    if (H5Pget_sizes(create, &address, &length) >= 0 && address == 8 && length == 8)
        return 0;
    h5_release(file);
    return err_set(e, ERR_INPUT, "%s has addresses of %zu bytes, sonde reads 8", path, address);
}

/* ---- attributes ---- */

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
        const char *s = NULL;
        SAFE_STRINGS(attr, a, MAX_TEXT);
        if (H5Aread(attr, type, &s) < 0)
            return h5_fail(e, ERR_INPUT, "an attribute cannot be read");
        out->text = s ? s : "";
        return 0;
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
    SAFE_STRINGS(data, a, max_bytes);
    hsize_t from = (hsize_t)start, count = (hsize_t)n;
    bool scalar = H5Sget_simple_extent_ndims(file) == 0;
    H5_AUTO hid_t box = scalar ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &count, NULL);
    memset((void *)out, 0, (size_t)n * sizeof *out);
    if ((!scalar && H5Sselect_hyperslab(file, H5S_SELECT_SET, &from, NULL, &count, NULL) < 0) ||
        H5Dread(data, type, box, file, h5_transfer(16), (void *)out) < 0)
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
    if (bytes <= CACHE / 2)
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
    bool is_link = link->type != H5L_TYPE_HARD;
    if (strlen(name) > MAX_NAME)
        return 0;
    if (!is_link && H5Oget_info_by_name2(group, name, &info, H5O_INFO_BASIC, H5P_DEFAULT) < 0)
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
    l->links[l->n++] = is_link ? (struct h5_link){.name = copy, .is_link = true}
                               : (struct h5_link){copy, info.type == H5O_TYPE_GROUP,
                                     info.type == H5O_TYPE_DATASET, false, info.addr};
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

/* The others read more trustingly, or come from plugins. */
static bool known_filters(hid_t create)
{
    bool known = true;
    for (int i = 0, n = H5Pget_nfilters(create); i < n && known; i++) {
        unsigned flags, config;
        size_t values = 0;
        int id = H5Pget_filter2(create, (unsigned)i, &flags, &values, NULL, 0, NULL, &config);
        known = id == H5Z_FILTER_DEFLATE || id == H5Z_FILTER_SHUFFLE || id == H5Z_FILTER_FLETCHER32;
    }
    return known;
}

static void read_chunk(struct h5_info *out, hid_t create)
{
    hsize_t dim[H5S_MAX_RANK];
    int rank = H5Pget_chunk(create, H5S_MAX_RANK, dim);
    for (int i = 0; i < rank && i < out->rank; i++)
        out->chunk[i] = dim[i] > INT64_MAX ? INT64_MAX : (int64_t)dim[i];
    out->filters = H5Pget_nfilters(create);
}

/* The files of a virtual dataset lie beside it: another folder's are nobody's to open unasked. Missing
 * ones are read as fill values, so they are counted. False: it points elsewhere. */
static bool read_sources(struct h5_info *out, int64_t data, hid_t create)
{
    char own[4096], path[8192], name[1024];
    size_t n = 0;
    ssize_t len = H5Fget_name(data, own, sizeof own);
    const char *slash = len > 0 && len < (ssize_t)sizeof own ? strrchr(own, '/') : NULL;
    if (len <= 0 || len >= (ssize_t)sizeof own || H5Pget_virtual_count(create, &n) < 0 ||
        n > MAX_SOURCES)
        return false;
    char last[sizeof name] = ".";
    bool was_there = true;
    for (size_t i = 0; i < n; i++) {
        ssize_t k = H5Pget_virtual_filename(create, i, name, sizeof name);
        if (k <= 0 || k >= (ssize_t)sizeof name)
            return false;
        const char *base = strrchr(name, '/');
        /* sonde's own shards lie in one folder below: X.acts/shard_00000.h5 */
        if (name[0] == '/' || strstr(name, "..") ||
            (base && memchr(name, '/', (size_t)(base - name))))
            return false;
        if (strcmp(name, last) != 0) {
            snprintf(path, sizeof path, "%.*s%s", slash ? (int)(slash - own + 1) : 0, own, name);
            was_there = !strcmp(name, ".") || !access(path, R_OK);
            memcpy(last, name, (size_t)k + 1);
            out->sources++;
        }
        out->missing += !was_there;
    }
    return true;
}

static const char *strange_type(hid_t type)
{
    switch (H5Tget_class(type)) {
    case H5T_VLEN:
        return "lists of different lengths";
    case H5T_REFERENCE:
        return "references to other objects";
    case H5T_OPAQUE:
        return "bytes of no known meaning";
    case H5T_ARRAY:
        return "an array in every cell";
    case H5T_BITFIELD:
        return "bit fields";
    default:
        return "a type that sonde does not know";
    }
}

int h5_describe(struct h5_info *out, int64_t data, struct arena *a, struct err *e)
{
    H5_SCOPE;
    hsize_t dim[H5S_MAX_RANK];
    *out = (struct h5_info){.kind = H5_STRANGE, .why = "a type that sonde does not know"};
    SAFE_STRINGS(data, a, MAX_TEXT); /* a fill value may be a string */
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
    out->layout = layout == H5D_VIRTUAL   ? H5_VIRTUAL
                  : layout == H5D_CHUNKED ? H5_CHUNKED
                  : layout == H5D_COMPACT ? H5_COMPACT
                                          : H5_CONTIGUOUS;
    if (layout == H5D_CHUNKED)
        read_chunk(out, create);
    if (layout == H5D_CONTIGUOUS && H5Pget_external_count(create) > 0)
        return out->why = "values in other files", 0;
    if (layout == H5D_VIRTUAL && !read_sources(out, data, create))
        return out->why = "values in files of other folders", 0;
    if (!known_filters(create))
        return out->why = "a filter other than deflate, shuffle and Fletcher32", 0;
    if (dims_count(out->dim, rank) < 0 || dims_count(out->dim, rank) > INT64_MAX / 64)
        return err_set(e, ERR_INPUT, "its size overflows");
    out->why = strange_type(type);
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
    SAFE_STRINGS(data, a, max_bytes);
    size_t *at = arena_array(a, (size_t)n, sizeof *at, e), row;
    H5_AUTO hid_t type = at ? row_type(data, m, n, at, &row) : H5I_INVALID_HID;
    if (!at || type < 0)
        return at ? h5_fail(e, ERR_INPUT, "its columns cannot be read") : ERR_LIMIT;
    char *raw = arena_alloc(a, row * (size_t)count, e);
    if (!raw)
        return ERR_LIMIT;
    memset(raw, 0, row * (size_t)count);
    hsize_t from = (hsize_t)first, len = (hsize_t)count;
    H5_AUTO hid_t stored = H5Dget_type(data);
    int64_t how = h5_transfer(row > H5Tget_size(stored) ? row : H5Tget_size(stored));
    H5_AUTO hid_t file = H5Dget_space(data);
    H5_AUTO hid_t box = H5Screate_simple(1, &len, NULL);
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

/* ---- names and labels of axes ---- */

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
    SAFE_STRINGS(attr, a, MAX_TEXT);
    if (H5Aread(attr, type, s) < 0)
        return h5_fail(e, ERR_INPUT, "attribute %s cannot be read", attribute);
    for (int i = 0; i < n; i++)
        names[i] = s[i] && *s[i] ? s[i] : NULL;
    return 0;
}

int64_t h5_scale(int64_t data, int rank, int axis)
{
    H5_SCOPE;
    hvl_t list[FIELD_RANK] = {{0, NULL}};
    struct arena tmp __attribute__((cleanup(arena_release))) = {0};
    H5_AUTO hid_t attr = axes_attr(data, "DIMENSION_LIST", rank, H5T_VLEN);
    if (attr < 0 || rank > FIELD_RANK)
        return H5I_INVALID_HID;
    H5_AUTO hid_t type = H5Aget_type(attr);
    H5_AUTO hid_t base = H5Tget_super(type);
    SAFE_STRINGS(attr, &tmp, MAX_TEXT);
    /* References in memory and on disk have one size, so the direction is not to be seen from the
     * types: our reading holds for this call alone. */
    if (H5Tequal(base, H5T_STD_REF_OBJ) <= 0 ||
        H5Tregister(H5T_PERS_SOFT, "sonde_refs", type, type, read_refs) < 0)
        return H5I_INVALID_HID;
    herr_t rc = H5Aread(attr, type, list);
    H5Tunregister(H5T_PERS_SOFT, "sonde_refs", -1, -1, read_refs);
    hid_t found = H5I_INVALID_HID;
    if (rc >= 0 && list[axis].len > 0)
        found = H5Rdereference2(data, H5P_DEFAULT, H5R_OBJECT, list[axis].p);
    if (found >= 0 && H5Iget_type(found) != H5I_DATASET)
        h5_release(&found);
    return found;
}
