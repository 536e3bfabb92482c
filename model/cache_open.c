#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "model/cache_file.h"
#include "model/core/h5.h"

/* Opening a file of a cache: shapes, places and attributes, all of them somebody else's word until
 * they are checked. Values are never read here. */

#define MAX_ROWS ((int64_t)1 << 50)
#define MAX_SHARDS ((int64_t)1 << 24)
#define MAX_WIDTH ((int64_t)1 << 40)

static int get_text(char *out, size_t n, struct cache_h5 *f, const char *name, struct err *e)
{
    struct h5_value v;
    *out = '\0';
    if (!h5_has(f->file, name))
        return err_set(e, ERR_INPUT, "it has no attribute %s", name);
    int rc = h5_get(&v, f->file, name, &f->arena, e);
    if (!rc && (v.kind != H5_TEXT || strlen(v.text) >= n))
        rc = err_set(e, ERR_INPUT, "its attribute %s is none of a cache", name);
    if (!rc)
        snprintf(out, n, "%s", v.text);
    return rc;
}

static int get_words(const char **out, struct cache_h5 *f, const char *name, struct err *e)
{
    char text[4096];
    int rc = get_text(text, sizeof text, f, name, e);
    *out = rc ? "" : arena_strdup(&f->arena, text, e);
    return rc ? rc : *out ? 0 : ERR_LIMIT;
}

static int get_int(
    int64_t *out, struct cache_h5 *f, const char *name, int64_t min, int64_t max, struct err *e)
{
    struct h5_value v;
    *out = 0;
    if (!h5_has(f->file, name))
        return err_set(e, ERR_INPUT, "it has no attribute %s", name);
    int rc = h5_get(&v, f->file, name, &f->arena, e);
    if (!rc && (v.kind != H5_INT || v.i < min || v.i > max))
        rc = err_set(e, ERR_INPUT, "its attribute %s is out of range", name);
    if (!rc)
        *out = v.i;
    return rc;
}

static int check_schema(struct cache_h5 *f, struct err *e)
{
    char schema[64] = "";
    struct err none = {0};
    int64_t version;
    if (!h5_has(f->file, "schema") || get_text(schema, sizeof schema, f, "schema", &none) ||
        strcmp(schema, CACHE_SCHEMA) != 0)
        return err_set(e, ERR_INPUT, "it is no activation cache (schema \"%.40s\")", schema);
    if (get_int(&version, f, "schema_version", 0, INT32_MAX, e))
        return e->code;
    if (version != CACHE_VERSION)
        return err_set(e, ERR_INPUT, "it is of version %lld, this program reads %d",
            (long long)version, CACHE_VERSION);
    return 0;
}

static int get_attrs(struct cache_h5 *f, struct err *e)
{
    struct cache_head *h = &f->head;
    struct cache_info *i = &h->info;
    char dtype[8];
    int64_t bos, end, block;
    const struct {
        const char *name;
        char *out;
    } hashes[] = {{"run_id", i->run_id}, {"plan_hash", h->plan_hash}, {"model_hash", i->model_hash},
        {"tokenizer_hash", i->tokenizer_hash}, {"corpus_hash", i->corpus_hash}};
    const struct {
        const char *name, **out;
    } words[] = {{"model_name", &i->model_name}, {"kernel_set", &i->kernel_set},
        {"weights", &i->weights}, {"filter", &i->filter}, {"command", &i->command},
        {"tool_version", &i->tool_version}};
    for (size_t k = 0; k < sizeof hashes / sizeof *hashes; k++)
        if (get_text(hashes[k].out, HASH_HEX, f, hashes[k].name, e))
            return e->code;
    for (size_t k = 0; k < sizeof words / sizeof *words; k++)
        if (get_words(words[k].out, f, words[k].name, e))
            return e->code;
    if (get_text(dtype, sizeof dtype, f, "dtype", e) || get_int(&bos, f, "prepend_bos", 0, 1, e) ||
        get_int(&i->window, f, "context", 1, CONFIG_MAX_WIDTH, e) ||
        get_int(&i->stride, f, "stride", 0, CONFIG_MAX_WIDTH, e) ||
        get_int(&block, f, "block_tokens", CACHE_BLOCK, CACHE_BLOCK, e) ||
        get_int(&h->shard_tokens, f, "shard_tokens", 1, CACHE_SHARD_TOKENS, e) ||
        get_int(&h->shards, f, "shard_count", 1, MAX_SHARDS, e) ||
        get_int(&h->row_begin, f, "token_begin", 0, MAX_ROWS, e) ||
        get_int(&end, f, "token_end", h->row_begin + 1, MAX_ROWS, e))
        return e->code;
    if (strcmp(dtype, "f16") != 0 && strcmp(dtype, "f32") != 0)
        return err_set(e, ERR_INPUT, "its attribute dtype is none of a cache");
    i->dtype = strcmp(dtype, "f16") ? DT_F32 : DT_F16;
    i->prepend_bos = bos != 0;
    i->tokens = end - h->row_begin;
    i->shards = (int)h->shards;
    h->is_join = h5_has(f->file, "folder");
    if (h->is_join)
        return get_text(h->folder, sizeof h->folder, f, "folder", e);
    i->shards = 1;
    if (i->tokens > CACHE_SHARD_TOKENS)
        return err_set(e, ERR_INPUT, "a shard of %lld tokens", (long long)i->tokens);
    if (get_int(&h->shard, f, "shard_index", 0, h->shards - 1, e) ||
        get_int(&h->window_begin, f, "window_begin", 0, MAX_ROWS, e) ||
        get_int(&h->document_begin, f, "document_begin", 0, MAX_ROWS, e))
        return e->code;
    return get_int(&h->text_begin, f, "text_document", h->document_begin, h->document_begin + 1, e);
}

/* ---- datasets ---- */

/* A column: its only axis of n elements (n < 0: any), of this type or texts. */
static int open_column(int64_t *out, int64_t *n, struct cache_h5 *f, const char *name, bool texts,
    enum dtype t, struct err *e)
{
    struct h5_info info;
    int rc;
    *out = h5_open_data(f->file, name);
    if (*out < 0)
        return h5_fail(e, ERR_INPUT, "its %s cannot be opened", name);
    if ((rc = h5_describe(&info, *out, &f->arena, e)))
        return err_prefix(e, "%s", name), rc;
    bool fits = info.rank == 1 &&
                (texts ? info.kind == H5_TEXTS : info.kind == H5_NUMBERS && info.dtype == t);
    if (!fits || info.dim[0] > MAX_ROWS || (*n >= 0 && info.dim[0] != *n))
        return err_set(e, ERR_INPUT, "its %s do not fit the rest", name);
    *n = info.dim[0];
    return 0;
}

static int open_columns(struct cache_h5 *f, struct err *e)
{
    static const char *const names[COL_COUNT] = {
        [COL_TOKENS] = "tokens",
        [COL_POSITION] = "position",
        [COL_BEGIN] = "text_begin",
        [COL_END] = "text_end",
    };
    struct cache_info *i = &f->head.info;
    int64_t documents = -1, windows = -1;
    for (int k = 0; k < COL_COUNT; k++)
        if (open_column(
                &f->column[k], &i->tokens, f, names[k], false, k < COL_BEGIN ? DT_I32 : DT_I64, e))
            return e->code;
    if (open_column(&f->offsets, &documents, f, "offsets", false, DT_I64, e) ||
        open_column(&f->window_offsets, &windows, f, "window_offsets", false, DT_I64, e))
        return e->code;
    i->documents = documents - 1;
    i->windows = windows - 1;
    int64_t texts = i->documents - (f->head.text_begin - f->head.document_begin);
    if (i->documents < 1 || i->windows < 1 || i->windows > i->tokens || texts < 0)
        return err_set(e, ERR_INPUT, "its offsets do not fit the rest");
    return open_column(&f->text, &texts, f, "text", true, DT_U8, e);
}

static bool parse_hook(struct cache_hook *h, const char *name)
{
    const char *rest = name;
    long layer = -1;
    char again[64];
    if (!strncmp(name, "blocks.", 7)) {
        char *end;
        layer = strtol(name + 7, &end, 10);
        if (*end != '.' || layer < 0 || layer >= CONFIG_MAX_LAYERS)
            return false;
        rest = end + 1;
    }
    for (int s = 0; s < SITE_COUNT; s++) {
        const struct site_info *info = site_info((enum site)s);
        if (info->per_layer != (layer >= 0) || strcmp(rest, info->name) != 0)
            continue;
        site_full_name(again, sizeof again, (enum site)s, (int)layer);
        *h = (struct cache_hook){.name = name, .site = (enum site)s, .layer = (int)layer};
        return !strcmp(again, name);
    }
    return false;
}

static bool hook_shape(struct cache_hook *h, const hsize_t *dim, int rank, int64_t tokens,
    int64_t window, struct err *e, struct arena *a)
{
    /* Sizes of a model that has them: the site tells which axis is which. */
    struct config cfg = {.n_head = 1, .d_head = 1, .d_model = 1, .d_mlp = 1};
    const char *name = h->name;
    if (cache_hook_init(h, h->site, h->layer, &cfg, tokens, window, a, e) || h->rank != rank)
        return false;
    h->name = name;
    h->width = 1;
    for (int i = 0; i < rank; i++) {
        bool fixed = i == 0 || h->axes[i].kind == AXIS_POS || h->axes[i].kind == AXIS_OTHER;
        if (dim[i] < 1 || dim[i] > MAX_ROWS || (fixed && (int64_t)dim[i] != h->axes[i].size) ||
            (i && dim[i] > CONFIG_MAX_WIDTH))
            return false;
        h->axes[i].size = (int64_t)dim[i];
        h->width *= i ? (int64_t)dim[i] : 1;
    }
    return h->width <= MAX_WIDTH;
}

/* Values of a shard: one piece of this file, whole, of the type that is promised. */
static int place_of(uint64_t *at, hid_t data, uint64_t bytes, uint64_t file, struct err *e)
{
    H5_AUTO hid_t props = H5Dget_create_plist(data);
    if (props < 0 || H5Pget_layout(props) != H5D_CONTIGUOUS || H5Pget_external_count(props) != 0 ||
        H5Pget_nfilters(props) != 0)
        return err_set(e, ERR_INPUT, "it does not lie in one piece");
    *at = H5Dget_offset(data);
    if (*at == HADDR_UNDEF || *at > file || bytes > file - *at)
        return err_set(e, ERR_INPUT, "it reaches beyond the end of the file: the file was cut");
    return 0;
}

static int open_hook(struct cache_h5 *f, int k, hid_t group, struct err *e)
{
    struct cache_hook *h = &f->head.hook[k];
    const struct cache_info *i = &f->head.info;
    hsize_t dim[H5S_MAX_RANK];
    H5_AUTO hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    H5_AUTO hid_t data = H5Dopen2(group, h->name, access);
    H5_AUTO hid_t type = data < 0 ? H5I_INVALID_HID : H5Dget_type(data);
    H5_AUTO hid_t space = data < 0 ? H5I_INVALID_HID : H5Dget_space(data);
    H5_AUTO hid_t want = h5_type(i->dtype);
    int rank = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
    if (rank < 2 || rank > CACHE_MAX_RANK || H5Sget_simple_extent_dims(space, dim, NULL) != rank)
        return h5_fail(e, ERR_INPUT, "its shape is none of this hook");
    if (!hook_shape(h, dim, rank, i->tokens, i->window, e, &f->arena))
        return err_set(e, ERR_INPUT, "its shape is none of this hook");
    if (H5Tequal(type, want) <= 0)
        return err_set(e, ERR_INPUT, "its type is not %s", dtype_name(i->dtype));
    if (f->head.is_join)
        return 0;
    uint64_t bytes;
    if (__builtin_mul_overflow(cache_row_bytes(&f->head, k), (uint64_t)i->tokens, &bytes))
        return err_set(e, ERR_INPUT, "its size overflows");
    return place_of(&f->at[k], data, bytes, f->size, e);
}

static int by_order(const void *a, const void *b)
{
    const struct cache_hook *x = a, *y = b;
    int at = (x->layer > y->layer) - (x->layer < y->layer);
    /* hook_embed before the blocks, ln_final behind them. */
    bool last_x = x->site >= SITE_LNF_SCALE, last_y = y->site >= SITE_LNF_SCALE;
    if (last_x != last_y)
        return last_x ? 1 : -1;
    return at ? at : (x->site > y->site) - (x->site < y->site);
}

static int open_hooks(struct cache_h5 *f, struct err *e)
{
    struct h5_link *links;
    int n;
    H5_AUTO hid_t group = h5_open_group(f->file, "acts");
    if (group < 0)
        return h5_fail(e, ERR_INPUT, "it has no group acts");
    if (h5_list(&links, &n, group, &f->arena, e))
        return e->code;
    if (n < 1 || n > CACHE_MAX_HOOKS)
        return err_set(e, ERR_INPUT, "it has %d hooks", n);
    f->head.info.hooks = n;
    f->head.hook = arena_array(&f->arena, (size_t)n, sizeof *f->head.hook, e);
    f->at = arena_zalloc(&f->arena, (size_t)n * sizeof *f->at, e);
    if (!f->head.hook || !f->at)
        return ERR_LIMIT;
    for (int k = 0; k < n; k++)
        if (!links[k].is_data || !parse_hook(&f->head.hook[k], links[k].name))
            return err_set(e, ERR_INPUT, "acts/%.60s is no hook", links[k].name);
    qsort(f->head.hook, (size_t)n, sizeof *f->head.hook, by_order);
    for (int k = 0; k < n; k++)
        if (open_hook(f, k, group, e))
            return err_prefix(e, "acts/%s", f->head.hook[k].name), e->code;
    return 0;
}

static int open_crc(struct cache_h5 *f, struct err *e)
{
    struct h5_info info;
    H5_AUTO hid_t data = h5_open_data(f->file, "block_crc");
    if (data < 0)
        return h5_fail(e, ERR_INPUT, "its block_crc cannot be opened");
    if (h5_describe(&info, data, &f->arena, e))
        return e->code;
    int64_t blocks = cache_blocks(f->head.info.tokens), hooks = f->head.info.hooks;
    if (info.kind != H5_NUMBERS || info.dtype != DT_U32 || info.rank != 2 ||
        info.dim[0] != blocks || info.dim[1] != hooks)
        return err_set(e, ERR_INPUT, "its block_crc does not fit the rest");
    int rc = place_of(&f->crc_at, data, (uint64_t)(blocks * hooks) * 4, f->size, e);
    return rc ? err_prefix(e, "block_crc"), rc : 0;
}

/* A name in the same folder, and nothing that leads out of it. */
static bool is_plain(const char *name)
{
    return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int read_part(struct cache_part *p, const union h5_cell *v, int64_t row, struct err *e)
{
    const char *file = v[0].text, *run = v[3].text;
    if (!is_plain(file) || strlen(file) >= sizeof p->file || strlen(run) >= sizeof p->run_id)
        return err_set(e, ERR_INPUT, "its shard table names \"%.80s\"; names are plain", file);
    snprintf(p->file, sizeof p->file, "%s", file);
    snprintf(p->run_id, sizeof p->run_id, "%s", run);
    double begin = v[1].number, end = v[2].number, crc = v[4].number;
    if (begin != (double)row || !(end > begin) || !(end - begin <= CACHE_SHARD_TOKENS) ||
        !(crc >= 0 && crc <= UINT32_MAX))
        return err_set(e, ERR_INPUT, "its shard table is out of order at %s", p->file);
    p->row_begin = row;
    p->row_end = (int64_t)end;
    p->crc = (uint32_t)crc;
    return 0;
}

static int open_parts(struct cache_h5 *f, struct err *e)
{
    static const char *const names[] = {"file", "token_begin", "token_end", "run_id", "crc"};
    struct cache_head *h = &f->head;
    struct h5_info info;
    struct h5_member m[5];
    struct arena tmp __attribute__((cleanup(arena_release))) = {0};
    if (*h->folder && !is_plain(h->folder))
        return err_set(e, ERR_INPUT, "its shards are said to be in \"%.80s\"", h->folder);
    H5_AUTO hid_t data = h5_open_data(f->file, "shards");
    if (data < 0)
        return h5_fail(e, ERR_INPUT, "it has no shard table");
    if (h5_describe(&info, data, &f->arena, e))
        return e->code;
    if (info.kind != H5_TABLE || info.rank != 1 || info.dim[0] != h->shards ||
        h->shards > (int64_t)f->size)
        return err_set(e, ERR_INPUT, "its shard table does not fit the rest");
    for (int k = 0; k < 5; k++) {
        int at = 0;
        while (at < info.n_members && strcmp(info.member[at].name, names[k]) != 0)
            at++;
        if (at == info.n_members || info.member[at].is_text != (k == 0 || k == 3))
            return err_set(e, ERR_INPUT, "its shard table has no column %s", names[k]);
        m[k] = info.member[at];
    }
    f->part = arena_array(&f->arena, (size_t)h->shards, sizeof *f->part, e);
    union h5_cell *v = arena_array(&tmp, 5 * 1024, sizeof *v, e);
    if (!f->part || !v)
        return ERR_LIMIT;
    int64_t row = 0;
    for (int64_t i = 0; i < h->shards; i++) {
        int64_t some = h->shards - i < 1024 ? h->shards - i : 1024;
        if (i % 1024 == 0 && h5_rows(v, data, m, 5, i, some, (size_t)1 << 20, &tmp, e))
            return e->code;
        if (read_part(&f->part[i], v + 5 * (i % 1024), row, e))
            return e->code;
        row = f->part[i].row_end;
    }
    if (row != h->info.tokens)
        return err_set(e, ERR_INPUT, "its shard table covers %lld of %lld tokens", (long long)row,
            (long long)h->info.tokens);
    return 0;
}

static int open_parts_of(struct cache_h5 *f, struct err *e)
{
    int rc = check_schema(f, e);
    if (!rc)
        rc = get_attrs(f, e);
    if (!rc)
        rc = open_columns(f, e);
    if (!rc)
        rc = open_hooks(f, e);
    if (!rc)
        rc = f->head.is_join ? open_parts(f, e) : open_crc(f, e);
    return rc;
}

int cache_h5_open(struct cache_h5 *f, const char *path, struct err *e)
{
    H5_SCOPE;
    struct stat st;
    *f = (struct cache_h5){.file = -1};
    /* What we write has checksums over its metadata; libhdf5 trusts the older form too much. */
    if (!h5_is_checked(path))
        return err_set(e, ERR_INPUT, "%s: it is no activation cache (an older HDF5 form)", path);
    struct cache_left left;
    if (cache_left(&left, path))
        return cache_left_error(path, &left, e);
    int rc = h5_open(&f->file, path, e);
    if (rc)
        return rc;
    if (stat(path, &st))
        rc = err_set(e, ERR_INPUT, "it is gone");
    f->size = (uint64_t)st.st_size;
    f->head.info.path = arena_strdup(&f->arena, path, e);
    if (!rc)
        rc = f->head.info.path ? open_parts_of(f, e) : ERR_LIMIT;
    if (!rc)
        return 0;
    err_prefix(e, "%s", path);
    cache_h5_close(f);
    return rc;
}

void cache_h5_close(struct cache_h5 *f)
{
    H5_SCOPE;
    int64_t *const handles[] = {&f->column[0], &f->column[1], &f->column[2], &f->column[3],
        &f->offsets, &f->window_offsets, &f->text, &f->file};
    for (size_t k = 0; k < sizeof handles / sizeof *handles; k++)
        h5_release(handles[k]);
    arena_release(&f->arena);
    *f = (struct cache_h5){.file = -1};
    H5garbage_collect(); /* a cache of a thousand shards opens as many files */
}

int cache_h5_read(void *out, int64_t data, enum dtype t, int64_t from, int64_t n, struct err *e)
{
    H5_SCOPE;
    if (!n)
        return 0;
    H5_AUTO hid_t type = h5_type(t);
    return h5_box(data, type, 1, &from, &n, NULL, out, false, e);
}
