#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/patching.h"
#include "views/number.h"

/* The maps of a sweep: exact, and beside it its estimate. One cursor for both. */

static enum sweep_kind kind_of(const struct pane *p)
{
    return p->id == PANE_ESTIMATE ? SWEEP_ESTIMATE : SWEEP_EXACT;
}

/* --- Fields ------------------------------------------------------------------------------------ */

static const struct block *find_block(const struct report *r, const char *run, const char *name)
{
    for (int i = 0; i < report_runs(r); i++) {
        struct run *at = report_run(r, i);
        for (int k = 0; !strcmp(run_analysis(at), run) && k < run_blocks(at); k++)
            if (!strcmp(block_spec(run_block_at(at, k))->name, name))
                return run_block_at(at, k);
    }
    return NULL;
}

/* What both maps are read from: without any effect a cell has this value. */
static double baseline(const struct patching *p)
{
    return p->is_raw ? p->pair->pair->metric[patching_receiver(p)] : p->noise;
}

/* The sweep as it stands, without its axis of inputs; false: there is none. */
static bool sweep_field(
    struct field *out, struct workbench *wb, enum sweep_kind kind, struct arena *frame)
{
    static const char *const runs[SWEEP_KINDS] = {"patch", "attr"};
    const struct patching *p = wb->patching;
    const struct sweep *s = patching_sweep(wb, kind);
    char name[96];
    struct err e;
    if (!s || !s->held)
        return false;
    snprintf(name, sizeof name, "%s%s", p->site, p->is_raw ? "" : "_normalized");
    const struct block *b = find_block(s->held->report, runs[kind], name);
    struct field_folded *fold = arena_zalloc(frame, sizeof *fold, &e);
    if (!b || !fold || block_field(&fold->base, b, -1, &e))
        return false;
    fold->how = FIELD_MEAN; /* over the one input */
    return !field_from_fold(out, fold, &e);
}

static double *all_values(const struct field *f, int64_t *n, struct arena *frame)
{
    struct window w = field_all(f);
    struct err e;
    *n = window_count(&w, f->rank);
    double *v = arena_array(frame, (size_t)(*n > 0 ? *n : 1), sizeof *v, &e);
    return v && !f->fetch(f, v, &w, FIELD_POINT, &e) ? v : NULL;
}

/* An estimated change on the scale of the exact map. */
static bool add_baseline(struct pane *p, double zero, struct arena *frame)
{
    int64_t n;
    if (zero == 0)
        return true;
    uint64_t generation = p->field.generation ? p->field.generation(&p->field) : 0;
    double *v = all_values(&p->field, &n, frame);
    for (int64_t i = 0; v && i < n; i++)
        v[i] += zero;
    p->values = (struct field_values){v, generation};
    if (v)
        field_from_values(&p->field, &p->values);
    return v;
}

/* A failed job's sentence stands in its pane. */
static void note_failure(struct workbench *wb, struct pane *p)
{
    struct job_view j;
    p->e.code = 0;
    if (patching_job(wb, patching_sweep(wb, kind_of(p)), &j) && j.state == JOB_FAILED)
        err_set(&p->e, ERR_USAGE, "%s", j.message);
}

static bool data(struct workbench *wb, struct pane *p, struct arena *frame)
{
    if (!patching_pair(wb))
        return false;
    note_failure(wb, p);
    if (!sweep_field(&p->field, wb, kind_of(p), frame))
        return false;
    p->field.look = LOOK_HEATMAP;
    return kind_of(p) == SWEEP_EXACT || add_baseline(p, baseline(wb->patching), frame);
}

/* --- Rank correlation -------------------------------------------------------------------------- */

struct ranked {
    double v;
    int64_t at;
};

static int by_value(const void *a, const void *b)
{
    double x = ((const struct ranked *)a)->v, y = ((const struct ranked *)b)->v;
    return (x > y) - (x < y);
}

/* Ranks in place of values; equal ones share the mean of theirs. */
static bool to_ranks(double *v, int64_t n, struct arena *a)
{
    struct err e;
    struct ranked *c = arena_array(a, (size_t)(n > 0 ? n : 1), sizeof *c, &e);
    for (int64_t i = 0; c && i < n; i++)
        c[i] = (struct ranked){v[i], i};
    if (c)
        qsort(c, (size_t)n, sizeof *c, by_value);
    for (int64_t i = 0, j; c && i < n; i = j) {
        for (j = i + 1; j < n && c[j].v == c[i].v; j++) {
        }
        for (int64_t k = i; k < j; k++)
            v[c[k].at] = (double)(i + j - 1) / 2;
    }
    return c;
}

/* Spearman's, over the cells that both have; NaN: fewer than three, or one of them is constant. */
static double correlation(double *x, double *y, int64_t n, struct arena *a)
{
    double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    int64_t k = 0;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(x[i]) && isfinite(y[i])) {
            x[k] = x[i];
            y[k++] = y[i];
        }
    if (k < 3 || !to_ranks(x, k, a) || !to_ranks(y, k, a))
        return NAN;
    for (int64_t i = 0; i < k; i++) {
        mx += x[i] / (double)k;
        my += y[i] / (double)k;
    }
    for (int64_t i = 0; i < k; i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        yy += (y[i] - my) * (y[i] - my);
        xy += (x[i] - mx) * (y[i] - my);
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : NAN;
}

/* Of the two sweeps on screen; computed again only when one of them has grown. */
static double agreement(struct workbench *wb)
{
    struct patching *p = wb->patching;
    struct arena scratch = {0};
    struct field f[SWEEP_KINDS];
    uint64_t now[SWEEP_KINDS] = {0};
    int64_t n[SWEEP_KINDS];
    for (int k = 0; k < SWEEP_KINDS; k++) {
        const struct sweep *s = patching_sweep(wb, (enum sweep_kind)k);
        if (!sweep_field(&f[k], wb, (enum sweep_kind)k, &scratch)) {
            arena_release(&scratch);
            return NAN;
        }
        now[k] =
            s->serial * 1000003u + (f[k].generation ? f[k].generation(&f[k]) : 0) * 2 + p->is_raw;
    }
    if (memcmp(now, p->seen, sizeof now) != 0) {
        double *x = all_values(&f[0], &n[0], &scratch), *y = all_values(&f[1], &n[1], &scratch);
        p->rho = x && y && n[0] == n[1] ? correlation(x, y, n[0], &scratch) : NAN;
        memcpy(p->seen, now, sizeof now);
    }
    arena_release(&scratch);
    return p->rho;
}

/* --- What is said ------------------------------------------------------------------------------ */

static void job_text(char *buf, size_t n, const struct job_view *j)
{
    double left = job_seconds_left(j);
    *buf = '\0';
    if (j->state == JOB_WAITING)
        snprintf(buf, n, ", waits");
    else if (j->state == JOB_CANCELLED)
        snprintf(buf, n, ", stopped at %.0f %%", j->total > 0 ? 100 * j->done / j->total : 0);
    else if (j->state == JOB_RUNNING && left < 360000)
        snprintf(
            buf, n, ", %.0f %%, %.1f s left", j->total > 0 ? 100 * j->done / j->total : 0, left);
    else if (j->state == JOB_RUNNING)
        snprintf(buf, n, ", begins");
}

static void heading(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    struct workbench *w = (struct workbench *)wb;
    const struct patching *t = wb->patching;
    struct job_view j;
    char job[64] = "", rho[48] = "";
    if (!patching_pair(wb)) {
        snprintf(buf, n, "%s", p->class->title);
        return;
    }
    if (patching_job(wb, patching_sweep(w, kind_of(p)), &j))
        job_text(job, sizeof job, &j);
    if (kind_of(p) == SWEEP_ESTIMATE) {
        double r = agreement(w);
        if (!isnan(r))
            snprintf(
                rho, sizeof rho, ", rank %s %.2f", p->rect.w > 48 ? "correlation" : "corr.", r);
        snprintf(buf, n, "estimate%s%s", p->rect.w > 54 && *rho ? " by attribution" : "",
            *rho ? rho : job);
        return;
    }
    const char *way = p->rect.w < 56 ? (t->noise ? "noise" : "denoise")
                      : t->noise     ? "corrupt into clean"
                                     : "clean into corrupt";
    const char *scale = t->is_raw             ? t->metric
                        : p->rect.w > 68      ? "0 = corrupt 1 = clean"
                        : !*job && !*t->outer ? "1 = clean"
                                              : "";
    snprintf(buf, n, "exact: %s, %s%s%s%s", t->site, way, *scale ? ", " : "", scale, job);
}

static double value_here(const struct field *f, const int64_t *at)
{
    struct window w = {0};
    struct err e;
    double v = NAN;
    for (int i = 0; i < f->rank; i++) {
        if (at[i] < 0 || at[i] >= f->axes[i].size)
            return NAN;
        w.start[i] = at[i];
        w.count[i] = w.stride[i] = 1;
    }
    return f->fetch(f, &v, &w, FIELD_POINT, &e) ? NAN : v;
}

static int64_t axis_at(const struct field *f, const struct pane *p, enum axis_kind kind)
{
    for (int i = 0; i < f->rank; i++)
        if (f->axes[i].kind == kind)
            return p->st.at[i];
    return -1;
}

/* "L2 at ·Tobin(10)", "L3H1" */
static void name_cell(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    const struct patching *t = wb->patching;
    const struct paired *pair = t->pair->pair;
    int recv = patching_receiver(t);
    int64_t layer = axis_at(&p->field, p, AXIS_LAYER), head = axis_at(&p->field, p, AXIS_HEAD);
    int64_t pos = axis_at(&p->field, p, AXIS_POS);
    char token[64];
    size_t used = (size_t)snprintf(buf, n, "L%lld", (long long)layer);
    if (head >= 0)
        used += (size_t)snprintf(buf + used, n - used, "H%lld", (long long)head);
    else if (p->field.rank == 2 && pos < 0)
        used += (size_t)snprintf(buf + used, n - used, "N%lld", (long long)p->st.at[1]);
    if (pos >= 0 && pos < pair->n[recv]) {
        token_show(token, sizeof token, pair->tokens[recv][pos]);
        snprintf(buf + used, n - used, " at %s(%lld)", token, (long long)pos);
    }
}

/* Behind these sites nothing of their own layer is left to compute. */
static bool ends_layer(const char *site)
{
    return !strncmp(site, "resid_post", 10) || !strncmp(site, "mlp_out", 7);
}

static void sum(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    struct workbench *w = (struct workbench *)wb;
    const struct patching *t = wb->patching;
    struct field f;
    char cell[128], value[SWEEP_KINDS][32], work[64] = "";
    const int64_t layer = axis_at(&p->field, p, AXIS_LAYER), pos = axis_at(&p->field, p, AXIS_POS);
    name_cell(wb, p, cell, sizeof cell);
    for (int k = 0; k < SWEEP_KINDS; k++) {
        double v = NAN;
        if (sweep_field(&f, w, (enum sweep_kind)k, &w->frame) && f.rank == p->field.rank)
            v = value_here(&f, p->st.at) + (k == SWEEP_ESTIMATE ? baseline(t) : 0);
        snprintf(value[k], sizeof value[k], isnan(v) ? "…" : "%.3f", v);
    }
    const int64_t T = t->pair->pair->n[patching_receiver(t)];
    const int64_t above = wb->facts.cfg.n_layer - layer - ends_layer(t->site);
    if (pos >= 0 && p->rect.w > 60)
        snprintf(work, sizeof work, "; recomputed %lld layer%s x %lld position%s", (long long)above,
            above == 1 ? "" : "s", (long long)(T - pos), T - pos == 1 ? "" : "s");
    else if (p->rect.w > 60)
        snprintf(work, sizeof work, "; recomputed %lld layers", (long long)above);
    if (p->rect.w < 40)
        snprintf(buf, n, "%s: %s", cell, value[kind_of(p)]);
    else if (p->rect.w < 56)
        snprintf(buf, n, "%s: %s, est. %s", cell, value[SWEEP_EXACT], value[SWEEP_ESTIMATE]);
    else
        snprintf(buf, n, "%s: exact %s, estimate %s%s", cell, value[SWEEP_EXACT],
            value[SWEEP_ESTIMATE], work);
}

/* --- The cursor -------------------------------------------------------------------------------- */

static void follow(const struct workbench *wb, struct pane *p)
{
    struct workbench *w = (struct workbench *)wb;
    const struct patching *t = wb->patching;
    patching_follow(w);
    for (int i = 0; i < p->field.rank; i++) {
        const struct axis *x = &p->field.axes[i];
        int64_t pos = align_cell(&t->rows, patching_receiver(t), t->column);
        if (x->kind == AXIS_LAYER)
            p->st.at[i] = wb->sel.layer;
        else if (x->kind == AXIS_HEAD)
            p->st.at[i] = wb->sel.head;
        else if (x->kind == AXIS_POS && pos >= 0)
            p->st.at[i] = pos;
        if (p->st.at[i] >= x->size)
            p->st.at[i] = x->size - 1;
    }
}

static bool is_map(const struct pane *p)
{
    return p->class == &pane_patch || p->class == &pane_estimate;
}

static void lead(struct workbench *wb, const struct pane *p)
{
    struct patching *t = wb->patching;
    for (int i = 0; i < p->field.rank; i++) {
        int64_t at = p->st.at[i];
        if (p->field.axes[i].kind == AXIS_LAYER)
            wb->sel.layer = wb->sel.row = at;
        else if (p->field.axes[i].kind == AXIS_HEAD)
            wb->sel.head = at;
        else if (p->field.axes[i].kind == AXIS_POS)
            t->column = align_column(&t->rows, patching_receiver(t), at);
    }
    for (int i = 0; i < PANE_SLOTS; i++)
        if (&wb->panes[i] != p && wb->panes[i].class && is_map(&wb->panes[i]))
            memcpy(wb->panes[i].st.at, p->st.at, sizeof p->st.at);
    patching_lead(wb);
}

/* --- Keys -------------------------------------------------------------------------------------- */

static void fresh_maps(struct workbench *wb)
{
    for (int i = 0; i < PANE_SLOTS; i++)
        if (wb->panes[i].class && is_map(&wb->panes[i]))
            wb->panes[i].st = (struct view_state){0};
}

static bool key(struct workbench *wb, struct pane *p, const struct key *k)
{
    struct patching *t = wb->patching;
    (void)p;
    if (!t || wb->n_back || (strcmp(k->name, "Esc") != 0 && strcmp(k->name, "q") != 0))
        return false;
    if (k->name[0] == 'E' && patching_stop(wb)) {
        workbench_say(wb, false, "it stops at the end of its slice; what is there is kept");
        return true;
    }
    if (!*t->outer)
        return false;
    snprintf(t->site, sizeof t->site, "%s", t->outer);
    t->outer[0] = '\0';
    fresh_maps(wb);
    return true;
}

void act_patch_open(struct workbench *wb, const struct key *k)
{
    struct pane *p = &wb->panes[wb->focus];
    struct patching *t = wb->patching;
    struct job_view j;
    const struct sweep *s = t ? patching_sweep(wb, SWEEP_EXACT) : NULL;
    (void)k;
    if (!s || (patching_job(wb, s, &j) && j.state > JOB_DONE && !s->held)) {
        patching_run(wb);
    } else if (p->field.rank && axis_at(&p->field, p, AXIS_HEAD) >= 0) {
        workbench_drill(wb, PANE_ATTENTION);
    } else if (axis_at(&p->field, p, AXIS_POS) >= 0) {
        snprintf(t->outer, sizeof t->outer, "%s", t->site);
        snprintf(t->site, sizeof t->site, "head_z");
        fresh_maps(wb);
        patching_run(wb);
    } else {
        act_dossier(wb, k);
    }
}

void act_patch_run(struct workbench *wb, const struct key *k)
{
    (void)k;
    patching_run(wb);
}

/* The name behind the present one. */
static const char *next_of(const char *const *list, int n, const char *now)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(list[i], now))
            return list[(i + 1) % n];
    return list[0];
}

static const char *const sites[] = {"resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out",
    "head_z", "head_q", "head_k", "head_v", "head_pattern", "neuron"};
static const char *const metrics[] = {"logit_diff", "prob_diff", "logprob", "prob", "kl", "loss"};

void act_patch_site(struct workbench *wb, const struct key *k)
{
    struct patching *t = patching_of(wb);
    (void)k;
    if (!t)
        return;
    snprintf(t->site, sizeof t->site, "%s",
        next_of(sites, (int)(sizeof sites / sizeof *sites), t->site));
    t->outer[0] = '\0';
    fresh_maps(wb);
    workbench_say(wb, false, "%s; a computes it", t->site);
}

void act_patch_direction(struct workbench *wb, const struct key *k)
{
    struct patching *t = patching_of(wb);
    (void)k;
    if (!t)
        return;
    t->noise = !t->noise;
    fresh_maps(wb);
    workbench_say(wb, false,
        t->noise ? "noise: corrupt values into the clean prompt; a computes it"
                 : "denoise: clean values into the corrupt prompt; a computes it");
}

void act_patch_metric(struct workbench *wb, const struct key *k)
{
    struct patching *t = patching_of(wb);
    (void)k;
    if (!t)
        return;
    snprintf(t->metric, sizeof t->metric, "%s",
        next_of(metrics, (int)(sizeof metrics / sizeof *metrics), t->metric));
    fresh_maps(wb);
    patching_refresh(wb);
    workbench_say(wb, false, "%s; a computes it", t->metric);
}

void act_patch_scale(struct workbench *wb, const struct key *k)
{
    struct patching *t = patching_of(wb);
    (void)k;
    if (!t)
        return;
    t->is_raw = !t->is_raw;
    for (int i = 0; i < PANE_SLOTS; i++)
        if (wb->panes[i].class && is_map(&wb->panes[i]))
            wb->panes[i].st.seen = 0;
}

const struct pane_class pane_patch = {
    .name = "patch",
    .title = "activation patching, exact",
    .view = "heatmap",
    .analysis = "patch",
    .ask = ASK_PAIR,
    .empty = "a computes it; without a pair, :pair CLEAN CORRUPT or :pair ioi_tiny:1",
    .search_axis = -1,
    .data = data,
    .heading = heading,
    .sum = sum,
    .follow = follow,
    .lead = lead,
    .key = key,
};

const struct pane_class pane_estimate = {
    .name = "estimate",
    .title = "attribution patching, an estimate",
    .view = "heatmap",
    .analysis = "attr",
    .ask = ASK_PAIR,
    .empty = "a computes it",
    .search_axis = -1,
    .data = data,
    .heading = heading,
    .sum = sum,
    .follow = follow,
    .lead = lead,
    .key = key,
};
