#include <string.h>

#include "model/pass.h"

/* The [begin, end) an edit means on an axis of n entries whose first one has index `first`. Indices
 * count from 0 over first + n entries; negative ones from their end. */
static void range(int64_t out[2], const int64_t at[2], bool all, int64_t first, int64_t n)
{
    int64_t total = first + n, begin = at[0], end = at[1];
    if (all) {
        out[0] = 0;
        out[1] = n;
        return;
    }
    if (begin < 0) {
        begin += total;
        end = end <= 0 ? end + total : end;
    } else if (end < 0) {
        end += total;
    }
    begin = begin < first ? first : begin;
    end = end > total ? total : end;
    out[0] = begin - first;
    out[1] = end - first > out[0] ? end - first : out[0];
}

void edits_mark(uint8_t *touched, const struct edits *eds, int n_layer)
{
    for (int i = 0; i < eds->n; i++) {
        const struct edit *ed = &eds->list[i];
        if (!ed->is_off)
            touched[(size_t)ed->site * (size_t)n_layer + (size_t)(ed->layer < 0 ? 0 : ed->layer)] =
                1;
    }
}

int edits_check(const struct edits *eds, const struct batch *b, bool is_part, struct err *e)
{
    for (int i = 0; i < eds->n; i++) {
        const struct edit *ed = &eds->list[i];
        bool hit = is_part || ed->is_off;
        int64_t longest = 0;
        for (int k = 0; k < b->n; k++) {
            int64_t n = b->offset[k + 1] - b->offset[k], r[2], key[2];
            range(r, ed->pos, ed->all_pos, 0, n);
            range(key, ed->key, ed->all_keys, 0, n);
            hit = hit || (r[0] < r[1] && key[0] < key[1]);
            longest = n > longest ? n : longest;
        }
        if (!hit)
            return err_set(e, ERR_USAGE,
                "edit %s touches nothing: the longest input has positions "
                "0 to %lld",
                ed->text ? ed->text : "", (long long)longest - 1);
        if ((ed->op == EDIT_MEAN || ed->op == EDIT_RESAMPLE || ed->op == EDIT_FROM) &&
            !ed->is_off && !ed->data)
            return err_set(e, ERR_USAGE, "edit %s has no values yet", ed->text ? ed->text : "");
    }
    return 0;
}

/* One run of `n` values; `src` is the value source (NULL: the edit's constant). */
static void apply_run(float *x, const struct edit *ed, const float *src, int64_t n)
{
    switch (ed->op) {
    case EDIT_ZERO:
        memset(x, 0, (size_t)n * sizeof *x);
        break;
    case EDIT_SCALE:
        for (int64_t i = 0; i < n; i++)
            x[i] *= (float)ed->value;
        break;
    case EDIT_ADD:
        for (int64_t i = 0; i < n; i++)
            x[i] += src ? src[i] : (float)ed->value;
        break;
    case EDIT_MEAN:
    case EDIT_RESAMPLE:
    case EDIT_FROM: /* resolved it is a resample edit; without values edits_check refuses it */
    case EDIT_SET:
        for (int64_t i = 0; i < n; i++)
            x[i] = src ? src[i] : (float)ed->value;
        break;
    }
}

/* Columns of a row an edit addresses: all, one head's, one unit, one unit of each head. */
struct columns {
    int64_t begin, count, step, n; /* n runs of `count` values, `step` apart */
};

static struct columns columns_of(const struct edit *ed, const struct config *cfg)
{
    int64_t width = site_width(ed->site, cfg);
    bool has_heads = site_info(ed->site)->axes[1] == 'H';
    int64_t heads = has_heads ? cfg->n_head : 1, per = width / heads;
    struct columns c = {0, per, per, heads};
    if (has_heads && ed->head >= 0) {
        c.begin = ed->head * per;
        c.n = 1;
    }
    if (ed->unit >= 0) {
        c.begin += ed->unit;
        c.count = 1;
    }
    return c;
}

/* Where the values of row `pos` begin in an edit's data: one row for every position, or a row each
 * from `first`, the edit's own first position, on. */
static const float *source_row(
    const struct edit *ed, int64_t pos, int64_t first, int64_t per_row, struct err *e)
{
    if (!ed->data || ed->n_data == per_row)
        return ed->data;
    int64_t row = ed->op == EDIT_RESAMPLE ? pos : pos - first;
    if ((row + 1) * per_row > ed->n_data) {
        err_set(e, ERR_USAGE, "edit %s: its source has %lld positions, position %lld is needed",
            ed->text ? ed->text : "", (long long)(ed->n_data / per_row), (long long)pos);
        return NULL;
    }
    return ed->data + row * per_row;
}

int edits_apply(const struct edits *eds, enum site s, int layer, float *data, int64_t rows,
    int64_t past, const struct config *cfg, struct err *e)
{
    int64_t width = site_width(s, cfg);
    for (int i = 0; i < eds->n; i++) {
        const struct edit *ed = &eds->list[i];
        if (ed->is_off || ed->site != s || (site_info(s)->per_layer && ed->layer != layer))
            continue;
        struct columns c = columns_of(ed, cfg);
        int64_t r[2], whole[2];
        range(r, ed->pos, ed->all_pos, past, rows);
        range(whole, ed->pos, ed->all_pos, 0, past + rows);
        for (int64_t row = r[0]; row < r[1]; row++) {
            const float *src = source_row(ed, past + row, whole[0], c.n * c.count, e);
            if (ed->data && !src)
                return ERR_USAGE;
            for (int64_t k = 0; k < c.n; k++)
                apply_run(data + row * width + c.begin + k * c.step, ed,
                    src ? src + k * c.count : NULL, c.count);
        }
    }
    return 0;
}

int edits_apply_square(const struct edits *eds, enum site s, int layer, float *data,
    int64_t queries, int64_t keys, const struct config *cfg, struct err *e)
{
    int64_t past = keys - queries;
    for (int i = 0; i < eds->n; i++) {
        const struct edit *ed = &eds->list[i];
        if (ed->is_off || ed->site != s || ed->layer != layer)
            continue;
        int64_t q[2], key[2];
        range(q, ed->pos, ed->all_pos, past, queries);
        range(key, ed->key, ed->all_keys, 0, keys);
        int64_t n = key[1] - key[0], heads = ed->head < 0 ? cfg->n_head : 1;
        if (q[0] == q[1] || !n)
            continue;
        int64_t want = ed->data ? heads * (q[1] - q[0]) * n : 0;
        if (ed->data && ed->n_data != want)
            return err_set(e, ERR_USAGE, "edit %s: its source has %lld values, %lld are needed",
                ed->text ? ed->text : "", (long long)ed->n_data, (long long)want);
        const float *src = ed->data;
        for (int64_t h = 0; h < heads; h++)
            for (int64_t row = q[0]; row < q[1]; row++) {
                int64_t head = ed->head < 0 ? h : ed->head;
                /* The causal mask is not an edit's to lift. */
                int64_t seen = past + row + 1 - key[0];
                apply_run(data + (head * queries + row) * keys + key[0], ed, src,
                    seen < 0   ? 0
                    : seen < n ? seen
                               : n);
                src = src ? src + n : NULL;
            }
    }
    return 0;
}

int edits_first_layer(const struct edits *eds, const struct config *cfg)
{
    int first = cfg->n_layer;
    for (int i = 0; i < eds->n; i++) {
        const struct edit *ed = &eds->list[i];
        if (ed->is_off || ed->site == SITE_LNF_SCALE || ed->site == SITE_LNF_NORM)
            continue;
        int layer = ed->layer < 0 ? 0 : ed->layer;
        first = layer < first ? layer : first;
    }
    return first;
}
