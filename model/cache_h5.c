#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "model/cache_file.h"
#include "model/core/h5.h"

/* Creating the files of a cache. */

#define CHUNK ((int64_t)65536) /* of the small columns, elements */
#define TEXT_CHUNK ((int64_t)4096)
#define BATCH ((int64_t)16 << 20) /* bytes of text that are in memory at once */

/* ---- attributes ---- */

static int put_head(hid_t file, const struct cache_head *h, struct err *e)
{
    const struct cache_info *i = &h->info;
    const struct {
        const char *name, *value;
    } texts[] = {{"schema", CACHE_SCHEMA}, {"tool_version", i->tool_version}, {"run_id", i->run_id},
        {"plan_hash", h->plan_hash}, {"model_name", i->model_name}, {"model_hash", i->model_hash},
        {"tokenizer_hash", i->tokenizer_hash}, {"corpus_hash", i->corpus_hash},
        {"kernel_set", i->kernel_set}, {"weights", i->weights},
        {"dtype", i->dtype == DT_F16 ? "f16" : "f32"}, {"filter", i->filter},
        {"command", i->command}};
    const struct {
        const char *name;
        int64_t value;
    } ints[] = {{"schema_version", CACHE_VERSION}, {"prepend_bos", i->prepend_bos},
        {"context", i->window}, {"stride", i->stride}, {"seed", 0}, {"block_tokens", CACHE_BLOCK},
        {"shard_tokens", h->shard_tokens}, {"shard_count", h->shards},
        {"token_begin", h->row_begin}, {"token_end", h->row_begin + i->tokens}},
      own[] = {{"shard_index", h->shard}, {"window_begin", h->window_begin},
          {"document_begin", h->document_begin}, {"text_document", h->text_begin}};
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
        if (h5_put_text(file, texts[k].name, texts[k].value, e))
            return e->code;
    for (size_t k = 0; k < sizeof ints / sizeof *ints; k++)
        if (h5_put_ints(file, ints[k].name, &ints[k].value, 0, e))
            return e->code;
    for (size_t k = 0; k < sizeof own / sizeof *own && !h->is_join; k++)
        if (h5_put_ints(file, own[k].name, &own[k].value, 0, e))
            return e->code;
    return h->is_join ? h5_put_text(file, "folder", h->folder, e) : 0;
}

static int put_about(hid_t data, const char *unit, const char *long_name, struct err *e)
{
    int rc = h5_put_text(data, "unit", unit, e);
    return rc ? rc : h5_put_text(data, "long_name", long_name, e);
}

static int put_hook(hid_t data, const struct cache_hook *k, struct err *e)
{
    const char *names[CACHE_MAX_RANK], *kinds[CACHE_MAX_RANK];
    char long_name[160];
    for (int i = 0; i < k->rank; i++) {
        names[i] = k->axes[i].name;
        kinds[i] = axis_kind_name(k->axes[i].kind);
    }
    snprintf(long_name, sizeof long_name, "%s of every token%s", k->name,
        site_is_square(k->site) ? "; keys are positions of its window, NaN behind its end" : "");
    const char *unit = k->site == SITE_PATTERN ? "probability" : "activation";
    int rc = put_about(data, unit, long_name, e);
    if (!rc)
        rc = h5_put_axes(data, k->rank, names, NULL, e);
    return rc ? rc : h5_put_texts(data, "axis_kinds", kinds, k->rank, e);
}

/* ---- values and checksums: fixed places, found once, written by others ---- */

static int hook_space(hid_t *out, const struct cache_hook *k, int64_t rows)
{
    hsize_t dim[CACHE_MAX_RANK];
    for (int i = 0; i < k->rank; i++)
        dim[i] = (hsize_t)(i ? k->axes[i].size : rows);
    *out = H5Screate_simple(k->rank, dim, NULL);
    return *out < 0;
}

static hid_t fixed_props(H5D_fill_time_t fill)
{
    hid_t p = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_layout(p, H5D_CONTIGUOUS);
    H5Pset_alloc_time(p, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(p, fill);
    H5Pset_obj_track_times(p, false);
    H5Pset_attr_creation_order(p, H5P_CRT_ORDER_TRACKED);
    H5Pset_attr_phase_change(p, 200, 100);
    return p;
}

static int put_values(hid_t file, const struct cache_head *h, struct err *e)
{
    H5_AUTO hid_t type = h5_type(h->info.dtype);
    H5_AUTO hid_t group = H5I_INVALID_HID;
    H5_AUTO hid_t props = fixed_props(H5D_FILL_TIME_NEVER);
    int rc = h5_group(&group, file, "acts", e);
    for (int i = 0; i < h->info.hooks && !rc; i++) {
        H5_AUTO hid_t space = H5I_INVALID_HID;
        if (hook_space(&space, &h->hook[i], h->info.tokens))
            return h5_fail(e, ERR_OUTPUT, "%s: its size cannot be stored", h->hook[i].name);
        H5_AUTO hid_t data =
            H5Dcreate2(group, h->hook[i].name, type, space, H5P_DEFAULT, props, H5P_DEFAULT);
        rc = data < 0 ? h5_fail(e, ERR_OUTPUT, "cannot write %s", h->hook[i].name)
                      : put_hook(data, &h->hook[i], e);
    }
    if (rc)
        return rc;
    static const char *const names[] = {"block", "hook"};
    hsize_t dim[2] = {(hsize_t)cache_blocks(h->info.tokens), (hsize_t)h->info.hooks};
    H5_AUTO hid_t space = H5Screate_simple(2, dim, NULL);
    H5_AUTO hid_t zeros = fixed_props(H5D_FILL_TIME_ALLOC);
    H5_AUTO hid_t data =
        H5Dcreate2(file, "block_crc", H5T_STD_U32LE, space, H5P_DEFAULT, zeros, H5P_DEFAULT);
    if (data < 0)
        return h5_fail(e, ERR_OUTPUT, "cannot write block_crc");
    rc = put_about(data, "CRC-32C",
        "checksum of the stored bytes of 256 tokens of a hook; 0: not written yet", e);
    return rc ? rc : h5_put_axes(data, 2, names, NULL, e);
}

/* ---- small columns ---- */

static int column(hid_t *out, hid_t file, const char *name, hid_t type, int64_t n, int64_t chunk,
    const char *about, struct err *e)
{
    H5_AUTO hid_t props = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t dim = (hsize_t)n, piece = (hsize_t)(n < chunk ? n : chunk);
    H5Pset_obj_track_times(props, false);
    H5Pset_attr_creation_order(props, H5P_CRT_ORDER_TRACKED);
    if (piece) {
        H5Pset_chunk(props, 1, &piece);
        if (H5Tis_variable_str(type) <= 0) {
            H5Pset_shuffle(props);
            H5Pset_deflate(props, 1);
            H5Pset_fletcher32(props);
        }
    }
    H5_AUTO hid_t space = H5Screate_simple(1, &dim, NULL);
    *out = H5Dcreate2(file, name, type, space, H5P_DEFAULT, props, H5P_DEFAULT);
    if (*out < 0)
        return h5_fail(e, ERR_OUTPUT, "cannot write %s", name);
    return put_about(*out, "", about, e);
}

static const struct {
    const char *name, *about;
    enum dtype dtype;
} columns[COL_COUNT] = {
    [COL_TOKENS] = {"tokens", "token ids", DT_I32},
    [COL_POSITION] = {"position", "position of the token in its window", DT_I32},
    [COL_BEGIN] = {"text_begin", "first byte of the token in its document's text", DT_I64},
    [COL_END] = {"text_end", "the byte behind its last", DT_I64},
};

/* The datasets beside the values, as many elements as the file has rows, documents and windows. */
static int put_columns(struct cache_h5 *f, struct err *e)
{
    const struct cache_info *i = &f->head.info;
    for (int k = 0; k < COL_COUNT; k++) {
        H5_AUTO hid_t type = h5_type(columns[k].dtype);
        if (column(&f->column[k], f->file, columns[k].name, type, i->tokens, CHUNK,
                columns[k].about, e))
            return e->code;
    }
    H5_AUTO hid_t text = h5_text_type();
    int64_t begun = f->head.is_join ? i->documents
                                    : i->documents - (f->head.text_begin - f->head.document_begin);
    if (column(&f->offsets, f->file, "offsets", H5T_STD_I64LE, i->documents + 1, CHUNK,
            "first row of each document, and the end", e) ||
        column(&f->window_offsets, f->file, "window_offsets", H5T_STD_I64LE, i->windows + 1, CHUNK,
            "first row of each window, and the end", e))
        return e->code;
    return column(&f->text, f->file, "text", text, begun, TEXT_CHUNK,
        "the documents as they were given; empty where none is kept", e);
}

static int put(int64_t data, enum dtype t, int64_t from, int64_t n, const void *v, struct err *e)
{
    H5_AUTO hid_t type = h5_type(t);
    return n ? h5_box(data, type, 1, &from, &n, NULL, (void *)v, true, e) : 0;
}

static int put_texts(int64_t data, int64_t from, int64_t n, const char **v, struct err *e)
{
    H5_AUTO hid_t type = h5_text_type();
    return n ? h5_box(data, type, 1, &from, &n, NULL, (void *)v, true, e) : 0;
}

/* ---- a shard ---- */

/* Its rows, from the corpus: at most CACHE_SHARD_TOKENS. */
static int shard_rows(struct cache_h5 *f, const struct spool *s, const struct cache_head *h,
    struct arena *a, struct err *e)
{
    size_t rows = (size_t)h->info.tokens, window = (size_t)h->info.window;
    int32_t *sequence = arena_array(a, window, 4, e), *token = arena_array(a, rows, 4, e);
    int32_t *position = arena_array(a, rows + window, 4, e);
    int64_t *begin = arena_array(a, rows + window, 8, e),
            *end = arena_array(a, rows + window, 8, e);
    int64_t *at = arena_array(a, (size_t)h->info.windows + 1, 8, e), row = 0, n = 0;
    struct spool_cursor c = {0};
    struct spool_window w;
    int rc;
    if (!sequence || !token || !position || !begin || !end || !at)
        return ERR_LIMIT;
    while ((rc = spool_next(
                &w, sequence, position + row, begin + row, end + row, &c, s, h->shard, e)) > 0) {
        at[n++] = row;
        /* The BOS, and the last of the sequence. */
        if (w.bos)
            token[row] = sequence[0];
        int32_t rest = w.stored - w.bos;
        memcpy(token + row + w.bos, sequence + w.n - rest, (size_t)rest * sizeof *token);
        row += w.stored;
    }
    at[n] = row;
    if (!rc)
        rc = put(f->column[COL_TOKENS], DT_I32, 0, row, token, e);
    if (!rc)
        rc = put(f->column[COL_POSITION], DT_I32, 0, row, position, e);
    if (!rc)
        rc = put(f->column[COL_BEGIN], DT_I64, 0, row, begin, e);
    if (!rc)
        rc = put(f->column[COL_END], DT_I64, 0, row, end, e);
    return rc ? rc : put(f->window_offsets, DT_I64, 0, n + 1, at, e);
}

/* Boundaries of its documents, cut at its own ends, and the texts of those that begin here. */
static int shard_documents(struct cache_h5 *f, const struct spool *s, const struct cache_head *h,
    struct arena *a, struct err *e)
{
    int64_t *at = arena_array(a, (size_t)CHUNK + 1, sizeof *at, e), n = 0, done = 0;
    const char **text = arena_array(a, (size_t)TEXT_CHUNK, sizeof *text, e);
    int64_t texts = 0, text_at = 0, bytes = 0, last = h->document_begin + h->info.documents;
    struct arena batch = {0};
    int rc = at && text ? 0 : ERR_LIMIT;
    for (int64_t d = h->document_begin; d < last && !rc; d++) {
        struct spool_document doc;
        if ((rc = spool_document(&doc, s, d, e)))
            break;
        int64_t from = doc.row_begin - h->row_begin;
        at[n++] = from < 0 ? 0 : from;
        if (n == CHUNK) {
            rc = put(f->offsets, DT_I64, done, n, at, e);
            done += n;
            n = 0;
        }
        if (d < h->text_begin || rc)
            continue;
        char *one = arena_alloc(&batch, doc.text_n > 0 ? (size_t)doc.text_n + 1 : 1, e);
        rc = one ? 0 : ERR_LIMIT;
        if (!rc && doc.text_n > 0)
            rc = spool_read_text(one, s, &doc, e);
        if (rc)
            break;
        one[doc.text_n > 0 ? doc.text_n : 0] = '\0';
        text[texts++] = one;
        bytes += doc.text_n > 0 ? doc.text_n : 0;
        if (texts == TEXT_CHUNK || bytes > BATCH) {
            rc = put_texts(f->text, text_at, texts, text, e);
            text_at += texts;
            texts = bytes = 0;
            arena_release(&batch);
        }
    }
    if (!rc)
        rc = put_texts(f->text, text_at, texts, text, e);
    arena_release(&batch);
    if (rc)
        return rc;
    at[n++] = h->info.tokens;
    return put(f->offsets, DT_I64, done, n, at, e);
}

static int close_written(struct cache_h5 *f, int rc, struct err *e)
{
    if (!rc && H5Fflush(f->file, H5F_SCOPE_LOCAL) < 0)
        rc = h5_fail(e, ERR_OUTPUT, "cannot write");
    cache_h5_close(f);
    return rc;
}

int cache_h5_shard(const char *path, const struct cache_head *h, const struct spool *s,
    const struct spool_shard *where, struct err *e)
{
    H5_SCOPE;
    struct cache_h5 f = {.head = *h};
    (void)where;
    int rc = h5_create(&f.file, path, true, e);
    if (!rc)
        rc = put_head(f.file, h, e);
    if (!rc)
        rc = put_columns(&f, e);
    if (!rc)
        rc = shard_rows(&f, s, h, &f.arena, e);
    if (!rc)
        rc = shard_documents(&f, s, h, &f.arena, e);
    if (!rc)
        rc = put_values(f.file, h, e);
    return close_written(&f, rc, e);
}

/* ---- the join ---- */

static int put_virtual(
    hid_t file, const struct cache_head *h, const struct cache_part *part, struct err *e)
{
    H5_AUTO hid_t type = h5_type(h->info.dtype);
    H5_AUTO hid_t group = H5I_INVALID_HID;
    uint64_t nan = h->info.dtype == DT_F16 ? 0x7e00 : 0x7fc00000;
    int rc = h5_group(&group, file, "acts", e);
    for (int i = 0; i < h->info.hooks && !rc; i++) {
        const struct cache_hook *k = &h->hook[i];
        H5_AUTO hid_t props = H5Pcreate(H5P_DATASET_CREATE);
        H5_AUTO hid_t space = H5I_INVALID_HID;
        H5Pset_obj_track_times(props, false);
        H5Pset_attr_creation_order(props, H5P_CRT_ORDER_TRACKED);
        H5Pset_attr_phase_change(props, 200, 100);
        H5Pset_fill_value(props, type, &nan);
        if (hook_space(&space, k, h->info.tokens))
            return h5_fail(e, ERR_OUTPUT, "%s: its size cannot be stored", k->name);
        for (int64_t p = 0; p < h->shards && !rc; p++) {
            char source[400], name[96];
            hsize_t from[CACHE_MAX_RANK] = {(hsize_t)part[p].row_begin}, count[CACHE_MAX_RANK];
            H5_AUTO hid_t of = H5I_INVALID_HID;
            for (int d = 0; d < k->rank; d++)
                count[d] = (hsize_t)(d ? k->axes[d].size : part[p].row_end - part[p].row_begin);
            snprintf(
                source, sizeof source, "%s%s%s", h->folder, *h->folder ? "/" : "", part[p].file);
            snprintf(name, sizeof name, "/acts/%s", k->name);
            if (hook_space(&of, k, part[p].row_end - part[p].row_begin) ||
                H5Sselect_hyperslab(space, H5S_SELECT_SET, from, NULL, count, NULL) < 0 ||
                H5Pset_virtual(props, space, source, name, of) < 0)
                rc = h5_fail(e, ERR_OUTPUT, "cannot join %s", k->name);
        }
        H5Sselect_all(space);
        H5_AUTO hid_t data =
            rc ? H5I_INVALID_HID
               : H5Dcreate2(group, k->name, type, space, H5P_DEFAULT, props, H5P_DEFAULT);
        if (!rc)
            rc =
                data < 0 ? h5_fail(e, ERR_OUTPUT, "cannot join %s", k->name) : put_hook(data, k, e);
    }
    return rc;
}

static int put_parts(
    hid_t file, const struct cache_head *h, const struct cache_part *part, struct err *e)
{
    hsize_t dim = (hsize_t)h->shards;
    H5_AUTO hid_t name = H5Tcopy(H5T_C_S1);
    H5_AUTO hid_t run = H5Tcopy(H5T_C_S1);
    H5_AUTO hid_t type = H5Tcreate(H5T_COMPOUND, sizeof *part);
    H5_AUTO hid_t space = H5Screate_simple(1, &dim, NULL);
    H5_AUTO hid_t props = H5Pcreate(H5P_DATASET_CREATE);
    H5Tset_size(name, sizeof part->file);
    H5Tset_size(run, sizeof part->run_id);
    H5Tinsert(type, "file", offsetof(struct cache_part, file), name);
    H5Tinsert(type, "token_begin", offsetof(struct cache_part, row_begin), H5T_STD_I64LE);
    H5Tinsert(type, "token_end", offsetof(struct cache_part, row_end), H5T_STD_I64LE);
    H5Tinsert(type, "run_id", offsetof(struct cache_part, run_id), run);
    H5Tinsert(type, "crc", offsetof(struct cache_part, crc), H5T_STD_U32LE);
    H5_AUTO hid_t packed = H5Tcopy(type);
    H5Tpack(packed);
    H5Pset_obj_track_times(props, false);
    H5Pset_chunk(props, 1, &(hsize_t){dim < 4096 ? dim : 4096});
    H5Pset_fletcher32(props);
    H5_AUTO hid_t data = H5Dcreate2(file, "shards", packed, space, H5P_DEFAULT, props, H5P_DEFAULT);
    if (data < 0 || H5Dwrite(data, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, part) < 0)
        return h5_fail(e, ERR_OUTPUT, "cannot write the shard table");
    return put_about(data, "", "the files that hold the values; crc is of their block_crc", e);
}

/* Texts of the documents that begin in a shard, a few at a time: a document is about as long as the
 * last byte of its tokens. */
static int join_texts(struct cache_h5 *to, struct cache_h5 *from, const int64_t *at,
    const int64_t *end, struct err *e)
{
    const struct cache_head *h = &from->head;
    int64_t skip = h->text_begin - h->document_begin, n = h->info.documents - skip;
    struct arena a = {0};
    int rc = 0;
    for (int64_t i = 0, some; i < n && !rc; i += some) {
        int64_t bytes = 0;
        for (some = 0; i + some < n && some < TEXT_CHUNK && bytes < BATCH; some++) {
            int64_t last = at[skip + i + some + 1];
            bytes += last > at[skip + i + some] ? end[last - 1] : 0;
        }
        const char **text = arena_array(&a, (size_t)some, sizeof *text, e);
        rc = text ? h5_texts(
                        text, from->text, i, some, ((size_t)some + 1) * (CACHE_TEXT_MAX + 1), &a, e)
                  : ERR_LIMIT;
        if (!rc)
            rc = put_texts(to->text, h->text_begin + i, some, text, e);
        arena_release(&a);
    }
    return rc;
}

/* Copies the columns of one shard to their place. */
static int join_shard(struct cache_h5 *to, struct cache_h5 *from, struct arena *a, struct err *e)
{
    const struct cache_head *h = &from->head;
    size_t rows = (size_t)h->info.tokens;
    void *v = arena_array(a, rows, 8, e);
    int64_t *at = arena_array(a, (size_t)h->info.documents + 1, sizeof *at, e);
    int64_t *windows = arena_array(a, (size_t)h->info.windows + 1, sizeof *windows, e);
    int rc = v && at && windows ? 0 : ERR_LIMIT;
    for (int k = 0; k < COL_COUNT && !rc; k++) {
        rc = cache_h5_read(v, from->column[k], columns[k].dtype, 0, h->info.tokens, e);
        if (!rc)
            rc = put(to->column[k], columns[k].dtype, h->row_begin, h->info.tokens, v, e);
    }
    if (!rc)
        rc = cache_h5_read(at, from->offsets, DT_I64, 0, h->info.documents + 1, e);
    for (int64_t i = 0; i <= h->info.documents && !rc; i++)
        if (at[i] < (i ? at[i - 1] : 0) || at[i] > h->info.tokens)
            rc = err_set(e, ERR_INPUT, "its documents are out of order");
    if (!rc)
        rc = join_texts(to, from, at, v, e); /* v holds text_end, the last column */
    if (!rc)
        rc = cache_h5_read(windows, from->window_offsets, DT_I64, 0, h->info.windows + 1, e);
    if (rc)
        return rc;
    int64_t skip = h->text_begin - h->document_begin;
    for (int64_t i = 0; i <= h->info.documents; i++)
        at[i] += h->row_begin;
    for (int64_t i = 0; i <= h->info.windows; i++)
        windows[i] += h->row_begin;
    /* The next shard writes its own beginning over the end of this one; a document that goes on
     * there does not end here. */
    rc = put(to->window_offsets, DT_I64, h->window_begin, h->info.windows + 1, windows, e);
    return rc ? rc
              : put(to->offsets, DT_I64, h->text_begin, h->info.documents + 1 - skip, at + skip, e);
}

int cache_h5_join(const char *path, const struct cache_head *h, const struct cache_part *part,
    int (*shard)(struct cache_h5 *out, void *arg, int64_t i, struct err *e), void *arg,
    struct err *e)
{
    H5_SCOPE;
    struct cache_h5 f = {.head = *h};
    int rc = h5_create_virtual(&f.file, path, e);
    if (!rc)
        rc = put_head(f.file, h, e);
    if (!rc)
        rc = put_virtual(f.file, h, part, e);
    if (!rc)
        rc = put_parts(f.file, h, part, e);
    if (!rc)
        rc = put_columns(&f, e);
    for (int64_t i = 0; i < h->shards && !rc; i++) {
        struct cache_h5 from;
        struct arena a = {0};
        rc = shard(&from, arg, i, e);
        if (rc)
            break;
        rc = join_shard(&f, &from, &a, e);
        if (rc)
            err_prefix(e, "%s", part[i].file);
        arena_release(&a);
        cache_h5_close(&from);
    }
    return close_written(&f, rc, e);
}
