#include <string.h>

#include "model/pass.h"

/* Values for mean and resample edits, from unedited runs of the reference inputs, one at a time. */

/* Whether an edit takes values from input k. */
static bool takes_from(const struct edit *ed, int k)
{
    return ed->op == EDIT_MEAN ? !ed->resample || k < ed->resample : ed->resample == k;
}

static bool needs_values(const struct edit *ed)
{
    return !ed->is_off && (ed->op == EDIT_MEAN || ed->op == EDIT_RESAMPLE);
}

/* The columns of a row that an edit addresses, gathered in the order edits_apply reads them. */
static int64_t gather_row(
    float *out, const float *row, const struct edit *ed, const struct config *cfg)
{
    int64_t width = site_width(ed->site, cfg);
    bool has_heads = site_info(ed->site)->axes[1] == 'H';
    int64_t heads = has_heads ? cfg->n_head : 1, per = width / heads, n = 0;
    for (int64_t h = 0; h < heads; h++) {
        if (has_heads && ed->head >= 0 && h != ed->head)
            continue;
        for (int64_t u = 0; u < per; u++)
            if (ed->unit < 0 || u == ed->unit)
                out[n++] = row[h * per + u];
    }
    return n;
}

/* Sums over positions for a mean edit of a per-position site. */
static int64_t add_rows(double *sum, float *tmp, const struct edit *ed, const struct trace *t)
{
    const float *x = trace_site(t, ed->site, ed->layer, 0);
    int64_t width = site_width(ed->site, t->cfg), n = 0;
    for (int64_t r = 0; r < trace_len(t, 0); r++) {
        n = gather_row(tmp, x + r * width, ed, t->cfg);
        for (int64_t i = 0; i < n; i++)
            sum[i] += tmp[i];
    }
    return trace_len(t, 0);
}

struct source {
    double *sum;
    float *data;
    int64_t n;     /* values gathered */
    int64_t count; /* rows summed */
    int64_t len;   /* positions of the square blocks summed so far */
};

static int take_rows(struct source *s, const struct edit *ed, const struct trace *t,
    struct arena *arena, struct arena *scratch, struct err *e)
{
    int64_t width = site_width(ed->site, t->cfg), rows = trace_len(t, 0);
    float *tmp = arena_array(scratch, (size_t)width, sizeof *tmp, e);
    if (!tmp)
        return ERR_LIMIT;
    int64_t per = gather_row(tmp, trace_site(t, ed->site, ed->layer, 0), ed, t->cfg);
    if (ed->op == EDIT_MEAN) {
        if (!s->sum)
            s->sum = arena_zalloc(arena, (size_t)per * sizeof *s->sum, e);
        if (!s->sum)
            return ERR_LIMIT;
        s->n = per;
        s->count += add_rows(s->sum, tmp, ed, t);
        return 0;
    }
    s->n = rows * per;
    s->data = arena_array(arena, (size_t)s->n, sizeof *s->data, e);
    if (!s->data)
        return ERR_LIMIT;
    const float *x = trace_site(t, ed->site, ed->layer, 0);
    for (int64_t r = 0; r < rows; r++)
        gather_row(s->data + r * per, x + r * width, ed, t->cfg);
    return 0;
}

/* Square sites: the addressed heads, queries and keys, only between inputs of one length. */
static int take_square(struct source *s, const struct edit *ed, const struct trace *t,
    struct arena *arena, struct err *e)
{
    int64_t T = trace_len(t, 0), H = t->cfg->n_head, n = 0;
    if (!ed->all_pos || !ed->all_keys)
        return err_set(e, ERR_USAGE, "edit %s: mean and resample take whole patterns", ed->text);
    if (s->len && s->len != T)
        return err_set(
            e, ERR_USAGE, "edit %s: a mean pattern needs inputs of one length", ed->text);
    s->len = T;
    int64_t h0 = ed->head < 0 ? 0 : ed->head, h1 = ed->head < 0 ? H : ed->head + 1;
    const float *x = trace_square(t, ed->site, ed->layer, 0) + h0 * T * T;
    n = (h1 - h0) * T * T;
    if (!s->sum)
        s->sum = arena_zalloc(arena, (size_t)n * sizeof *s->sum, e);
    if (!s->sum)
        return ERR_LIMIT;
    for (int64_t i = 0; i < n; i++)
        s->sum[i] += x[i];
    s->n = n;
    s->count++;
    return 0;
}

static int finish(struct edit *ed, struct source *s, struct arena *arena, struct err *e)
{
    if (!s->n)
        return err_set(e, ERR_USAGE, "edit %s: there is no input %d to take values from", ed->text,
            ed->resample);
    if (!s->data) {
        s->data = arena_array(arena, (size_t)s->n, sizeof *s->data, e);
        if (!s->data)
            return ERR_LIMIT;
        for (int64_t i = 0; i < s->n; i++)
            s->data[i] = (float)(s->sum[i] / (double)s->count);
    }
    ed->data = s->data;
    ed->n_data = s->n;
    return 0;
}

/* Runs reference input k and lets every edit that wants it take its values. */
static int visit(struct source *src, const struct edit *list, int n, const struct params *p,
    const struct batch *reference, int k, const struct forward_opts *how, struct arena *arena,
    struct err *e)
{
    struct arena scratch = {0};
    struct plan plan;
    struct trace t = {0};
    int wanted = 0, rc = plan_init(&plan, &p->cfg, &scratch, e);
    for (int i = 0; i < n && !rc; i++)
        if (needs_values(&list[i]) && takes_from(&list[i], k)) {
            plan_keep(&plan, list[i].site, list[i].layer);
            wanted++;
        }
    if (!rc && wanted) {
        int64_t offset[2] = {0, reference->offset[k + 1] - reference->offset[k]};
        struct batch one = {reference->tokens + reference->offset[k], offset, 1};
        struct forward_opts o = {.plan = &plan,
            .pool = how->pool,
            .progress = how->progress,
            .progress_arg = how->progress_arg,
            .max_bytes = how->max_bytes,
            .budget = how->budget};
        rc = forward(&t, p, &one, &o, e);
    }
    for (int i = 0; i < n && !rc && wanted; i++) {
        const struct edit *ed = &list[i];
        if (!needs_values(ed) || !takes_from(ed, k))
            continue;
        rc = site_is_square(ed->site) ? take_square(&src[i], ed, &t, arena, e)
                                      : take_rows(&src[i], ed, &t, arena, &scratch, e);
    }
    trace_release(&t);
    arena_release(&scratch);
    return rc;
}

int edits_resolve(struct edits *out, const struct edits *in, const struct params *p,
    const struct batch *reference, const struct forward_opts *how, struct arena *arena,
    struct err *e)
{
    *out = (struct edits){0};
    if (!in || !in->n)
        return 0;
    struct edit *list = arena_array(arena, (size_t)in->n, sizeof *list, e);
    struct source *src = arena_zalloc(arena, (size_t)in->n * sizeof *src, e);
    if (!list || !src)
        return ERR_LIMIT;
    memcpy(list, in->list, (size_t)in->n * sizeof *list);
    for (int k = 0; k < reference->n; k++)
        if (visit(src, list, in->n, p, reference, k, how, arena, e))
            return e->code;
    for (int i = 0; i < in->n; i++)
        if (needs_values(&list[i]) && finish(&list[i], &src[i], arena, e))
            return e->code;
    *out = (struct edits){list, in->n};
    return 0;
}
