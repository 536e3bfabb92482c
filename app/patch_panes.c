#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/correlation.h"
#include "analysis/patch_menu.h"
#include "app/patching.h"
#include "model/core/text.h"
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
static double baseline(struct workbench *wb)
{
    const struct patching *p = wb->patching;
    const struct sweep *s = patching_sweep(wb, SWEEP_ESTIMATE);
    struct window w = {.count = {1}, .stride = {1}};
    struct field f;
    struct err e;
    double v = NAN;
    if (!p->is_raw)
        return p->noise;
    const struct block *b = s && s->held ? find_block(s->held->report, "attr",
                                               p->noise ? "clean_metric" : "corrupt_metric")
                                         : NULL;
    return b && !block_field(&f, b, -1, &e) && !f.fetch(&f, &v, &w, FIELD_POINT, &e) ? v
                                                                                     : (double)NAN;
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

/* --- One scale for both -------------------------------------------------------------------------- */

/* Numbers of one slice of a sweep: `drawn` axes whole, the others where the cursor is. */
static int slice_limits(struct patching *t, const struct field *f, const struct view_state *st,
    double zero, struct arena *frame)
{
    struct window w = field_all(f);
    struct err e;
    for (int i = 0; i < f->rank; i++) {
        const bool is_drawn =
            i == st->row_axis || i == st->col_axis || f->axes[i].kind == AXIS_SITE;
        if (is_drawn || st->at[i] >= f->axes[i].size)
            continue;
        w.start[i] = st->at[i];
        w.count[i] = 1;
    }
    const int64_t n = window_count(&w, f->rank);
    double *v = arena_array(frame, (size_t)(n > 0 ? n : 1), sizeof *v, &e);
    if (!v || f->fetch(f, v, &w, FIELD_POINT, &e))
        return ERR_LIMIT;
    for (int64_t i = 0; i < n; i++) {
        const double x = v[i] + zero;
        if (!isfinite(x))
            continue;
        t->lo = !(t->lo <= x) ? x : t->lo;
        t->hi = !(t->hi >= x) ? x : t->hi;
        t->least = x > 0 && !(t->least <= x) ? x : t->least;
    }
    return 0;
}

static uint64_t generation_of(const struct sweep *s, const struct field *f)
{
    return s->serial * 1000003u + (f->generation ? f->generation(f) : 0);
}

/* Whether both maps are there and may be compared by eye; then the pane's limits are theirs. */
static bool share_scale(struct workbench *wb, struct pane *p, struct arena *frame)
{
    struct patching *t = wb->patching;
    struct field f[SWEEP_KINDS];
    uint64_t key = 1469598103934665603u ^ t->is_raw;
    p->st.has_limits = false;
    for (int k = 0; k < SWEEP_KINDS; k++) {
        const struct sweep *s = patching_sweep(wb, (enum sweep_kind)k);
        if (!sweep_field(&f[k], wb, (enum sweep_kind)k, frame) || f[k].rank != p->field.rank)
            return false;
        key = key * 1099511628211u ^ generation_of(s, &f[k]);
    }
    if (t->own_scale) {
        p->st.seen = 0;
        return true;
    }
    for (int i = 0; i < p->field.rank; i++) {
        const bool is_drawn = i == p->st.row_axis || i == p->st.col_axis;
        key = key * 1099511628211u ^ (uint64_t)(is_drawn ? ~(int64_t)i : p->st.at[i]);
    }
    if (key != t->seen_scale) {
        t->lo = t->hi = t->least = NAN;
        for (int k = 0; k < SWEEP_KINDS; k++)
            if (slice_limits(t, &f[k], &p->st, k == SWEEP_ESTIMATE ? baseline(wb) : 0, frame))
                return false;
        t->seen_scale = key;
    }
    if (!isfinite(t->lo))
        return false;
    p->st.has_limits = true;
    p->st.lo = t->lo;
    p->st.hi = t->hi;
    p->st.least = t->least;
    return true;
}

/* Heads and neurons stand beside each other layer by layer, at one position. */
static void choose_axes(struct pane *p)
{
    const struct field *f = &p->field;
    int row = f->rank - 2, col = f->rank - 1, layer = -1, unit = -1, n_pos = 0;
    if (p->st.has_axes || f->rank < 2)
        return;
    for (int i = 0; i < f->rank; i++) {
        layer = f->axes[i].kind == AXIS_LAYER ? i : layer;
        unit = f->axes[i].kind == AXIS_HEAD || f->axes[i].kind == AXIS_NEURON ? i : unit;
        n_pos += f->axes[i].kind == AXIS_POS;
    }
    if (n_pos == 1 && layer >= 0 && unit >= 0) {
        row = layer;
        col = unit;
    }
    p->st.has_axes = true;
    p->st.row_axis = row;
    p->st.col_axis = col;
}

/* A failed job's sentence stands in its pane. */
static void note_failure(struct workbench *wb, struct pane *p)
{
    struct job_view j;
    p->e.code = 0;
    if (patching_job(wb, patching_sweep(wb, kind_of(p)), &j) && j.state == JOB_FAILED)
        err_set(&p->e, ERR_USAGE, "%s", j.message);
}

static void follow(const struct workbench *wb, struct pane *p);

static bool data(struct workbench *wb, struct pane *p, struct arena *frame)
{
    if (!patching_pair(wb))
        return false;
    note_failure(wb, p);
    if (!sweep_field(&p->field, wb, kind_of(p), frame))
        return false;
    p->field.look = LOOK_HEATMAP;
    if (!view_accepts(p->view, &p->field))
        p->view = view_find(p->class->view);
    if (p->st.has_axes && (p->st.row_axis >= p->field.rank || p->st.col_axis >= p->field.rank))
        p->st.has_axes = false;
    choose_axes(p);
    follow(wb, p);
    p->scale_note = !share_scale(wb, p, frame) ? NULL
                    : wb->patching->own_scale  ? "own scale"
                                               : "one scale";
    return kind_of(p) == SWEEP_EXACT || add_baseline(p, baseline(wb), frame);
}

/* --- Rank correlation -------------------------------------------------------------------------- */

/* Spearman's, over the cells that both have; NaN: fewer than three, or one of them is constant. */
static double rank_correlation(double *x, double *y, int64_t n, struct arena *a)
{
    double r[2];
    struct err e;
    int64_t k = 0;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(x[i]) && isfinite(y[i])) {
            x[k] = x[i];
            y[k++] = y[i];
        }
    return k < 3 || correlation(r, x, y, k, a, &e) ? NAN : r[1];
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
        p->rho = x && y && n[0] == n[1] ? rank_correlation(x, y, n[0], &scratch) : NAN;
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

static int64_t axis_at(const struct field *f, const struct pane *p, enum axis_kind kind)
{
    for (int i = 0; i < f->rank; i++)
        if (f->axes[i].kind == kind)
            return p->st.at[i];
    return -1;
}

/* "resid_pre", "head_z at ·Tobin(10)" */
static void site_text(const struct pane *p, const struct patching *t, char *buf, size_t n)
{
    const struct paired *pair = t->pair->pair;
    const int recv = patching_receiver(t);
    const int64_t drawn = p->field.rank > 2 ? axis_at(&p->field, p, AXIS_POS) : -1;
    const int64_t pos = t->at >= 0 ? t->at : drawn;
    size_t stem = strlen(t->site), suffix = strlen("_by_pos");
    char token[64];
    if (pos < 0 || pos >= pair->n[recv] || stem <= suffix ||
        strcmp(t->site + stem - suffix, "_by_pos") != 0) {
        snprintf(buf, n, "%s", t->site);
        return;
    }
    token_show(token, sizeof token, pair->tokens[recv][pos]);
    snprintf(buf, n, "%.*s at %s(%lld)", (int)(stem - suffix), t->site, token, (long long)pos);
}

/* As much as there is room for, the job in any case. */
static void exact_heading(
    const struct pane *p, const struct patching *t, const char *job, char *buf, size_t n)
{
    const char *way = t->noise ? "corrupt into clean" : "clean into corrupt",
               *brief = t->noise ? "noise" : "denoise";
    const struct {
        const char *way, *scale;
    } forms[] = {{way, "0 = corrupt 1 = clean"}, {way, "1 = clean"}, {brief, "1 = clean"},
        {brief, ""}, {"", ""}};
    char site[160];
    site_text(p, t, site, sizeof site);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        const char *scale = t->is_raw && *forms[i].scale ? t->metric : forms[i].scale;
        snprintf(buf, n, "exact: %s%s%s%s%s%s", site, *forms[i].way ? ", " : "", forms[i].way,
            *scale ? ", " : "", scale, job);
        if (text_columns(buf) <= p->rect.w - 4)
            return;
    }
}

static void heading(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    struct workbench *w = (struct workbench *)wb;
    struct job_view j;
    char job[64] = "", rho[48] = "";
    if (!patching_pair(wb)) {
        snprintf(buf, n, "%s", p->class->title);
        return;
    }
    if (patching_job(wb, patching_sweep(w, kind_of(p)), &j))
        job_text(job, sizeof job, &j);
    if (kind_of(p) == SWEEP_EXACT) {
        exact_heading(p, wb->patching, job, buf, n);
        return;
    }
    double r = agreement(w);
    if (!isnan(r))
        snprintf(rho, sizeof rho, ", rank %s %.2f", p->rect.w > 48 ? "correlation" : "corr.", r);
    snprintf(
        buf, n, "estimate%s%s", p->rect.w > 54 && *rho ? " by attribution" : "", *rho ? rho : job);
}

/* What stands in the way of the map. */
static bool why(struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    struct job_view j;
    if (!patching_pair(wb))
        return false;
    patching_parting(wb, buf, n);
    if (*buf && kind_of(p) == SWEEP_ESTIMATE)
        snprintf(buf, n, "not aligned yet");
    if (*buf)
        return true;
    if (!patching_job(wb, patching_sweep(wb, kind_of(p)), &j) || j.state > JOB_RUNNING)
        snprintf(buf, n, "%s: not computed; a or Enter computes it", wb->patching->site);
    else
        snprintf(buf, n,
            j.state == JOB_WAITING ? "waits in the queue; J lists the jobs"
                                   : "computing; Esc stops it");
    return true;
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

/* "L2 at ·Tobin(10)", "L3H1" */
static void name_cell(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    const struct patching *t = wb->patching;
    const struct paired *pair = t->pair->pair;
    int recv = patching_receiver(t);
    int64_t layer = axis_at(&p->field, p, AXIS_LAYER), head = axis_at(&p->field, p, AXIS_HEAD);
    int64_t pos = axis_at(&p->field, p, AXIS_POS), neuron = axis_at(&p->field, p, AXIS_NEURON);
    char token[64];
    size_t used = (size_t)snprintf(buf, n, "L%lld", (long long)layer);
    if (head >= 0)
        used += (size_t)snprintf(buf + used, n - used, "H%lld", (long long)head);
    else if (neuron >= 0)
        used += (size_t)snprintf(buf + used, n - used, "N%lld", (long long)neuron);
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

/* Three decimals, or one digit of what they would hide. */
static void value_text(char *buf, size_t n, double v)
{
    char digits[32];
    if (isnan(v))
        snprintf(buf, n, "…");
    else if (v != 0 && fabs(v) < 0.0005)
        snprintf(buf, n, "%s%s", v < 0 ? "-" : "", number_error(digits, sizeof digits, v));
    else
        snprintf(buf, n, "%.3f", v);
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
            v = value_here(&f, p->st.at) + (k == SWEEP_ESTIMATE ? baseline(w) : 0);
        value_text(value[k], sizeof value[k], v);
    }
    const int64_t T = t->pair->pair->n[patching_receiver(t)];
    const int64_t above = wb->facts.cfg.n_layer - layer - ends_layer(t->site);
    size_t used = (size_t)snprintf(
        work, sizeof work, "; recomputed %lld layer%s", (long long)above, text_s(above));
    if (pos >= 0)
        snprintf(work + used, sizeof work - used, " x %lld position%s", (long long)(T - pos),
            text_s(T - pos));
    if (p->rect.w < 40) {
        snprintf(buf, n, "%s: %s", cell, value[kind_of(p)]);
        return;
    }
    /* As much of the work as fits whole. */
    const bool is_brief = p->rect.w < 56;
    const size_t lengths[] = {is_brief ? 0 : strlen(work), is_brief ? 0 : used, 0};
    for (int i = 0; i < 3; i++) {
        snprintf(buf, n, is_brief ? "%s: %s, est. %s" : "%s: exact %s, estimate %s%.*s", cell,
            value[SWEEP_EXACT], value[SWEEP_ESTIMATE], (int)lengths[i], work);
        if (text_columns(buf) <= p->rect.w - 4)
            return;
    }
}

/* --- The cursor -------------------------------------------------------------------------------- */

static void follow(const struct workbench *wb, struct pane *p)
{
    struct workbench *w = (struct workbench *)wb;
    const struct patching *t = wb->patching;
    patching_follow(w);
    for (int i = 0; i < p->field.rank; i++) {
        const struct axis *x = &p->field.axes[i];
        int64_t pos = t->at >= 0 ? t->at : align_cell(&t->rows, patching_receiver(t), t->column);
        if (!strcmp(x->name, "src_pos"))
            p->st.at[i] = wb->sel.key;
        else if (x->kind == AXIS_LAYER)
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
        else if (!strcmp(p->field.axes[i].name, "src_pos"))
            wb->sel.key = at;
        else if (p->field.axes[i].kind == AXIS_POS && t->at < 0)
            t->column = align_column(&t->rows, patching_receiver(t), at);
    }
    for (int i = 0; i < PANE_SLOTS; i++)
        if (&wb->panes[i] != p && wb->panes[i].class && is_map(&wb->panes[i]))
            memcpy(wb->panes[i].st.at, p->st.at, sizeof p->st.at);
    patching_lead(wb);
}

/* --- Keys -------------------------------------------------------------------------------------- */

void patching_fresh(struct workbench *wb)
{
    const struct patch_menu *menu[1];
    struct err e;
    int n = 0;
    /* Several sites stand side by side. */
    const bool is_several =
        !patch_menu_parse(menu, &n, 1, wb->patching->site, &e) && n == 1 && menu[0]->n_parts > 1;
    wb->patching->peak_row = -1;
    for (int i = 0; i < PANE_SLOTS; i++) {
        struct pane *p = &wb->panes[i];
        if (!p->class || !is_map(p))
            continue;
        p->st = (struct view_state){0};
        if (is_several || p->view == view_find("multiples"))
            p->view = view_find(is_several ? "multiples" : p->class->view);
    }
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
    patching_leave(wb);
    patching_run(wb); /* asks nothing where it is there */
    return true;
}

/* What a cell of layer x position is made of, at that position: neurons of an MLP's output, heads of
 * everything else. */
static void drill(struct workbench *wb, int64_t pos)
{
    struct patching *t = wb->patching;
    snprintf(t->outer, sizeof t->outer, "%s", t->site);
    t->outer_layer = wb->sel.layer;
    t->at = pos;
    snprintf(
        t->site, sizeof t->site, strcmp(t->site, "mlp_out") ? "head_z_by_pos" : "neuron_by_pos");
    patching_fresh(wb);
    patching_run(wb);
}

/* The head's attention in the clean prompt, from the cell's position. */
static void open_pattern(struct workbench *wb, const struct pane *p)
{
    struct patching *t = wb->patching;
    const int64_t pos = axis_at(&p->field, p, AXIS_POS);
    const int64_t column = pos < 0 ? -1 : align_column(&t->rows, patching_receiver(t), pos);
    const int64_t clean = column < 0 ? -1 : align_cell(&t->rows, 0, column);
    if (clean >= 0 && wb->lens && clean < wb->lens->n) {
        wb->sel.pos = t->seen_pos = clean;
        workbench_selected(wb);
    }
    workbench_drill(wb, PANE_ATTENTION);
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
    } else if (!s->held || !p->field.rank) {
        workbench_say(wb, false, "no cell yet: the map is being computed; J lists the jobs");
    } else if (axis_at(&p->field, p, AXIS_HEAD) >= 0) {
        open_pattern(wb, p);
    } else if (axis_at(&p->field, p, AXIS_NEURON) < 0 && axis_at(&p->field, p, AXIS_POS) >= 0) {
        drill(wb, axis_at(&p->field, p, AXIS_POS));
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
    patching_leave(wb);
    snprintf(t->site, sizeof t->site, "%s",
        next_of(sites, (int)(sizeof sites / sizeof *sites), t->site));
    patching_fresh(wb);
    workbench_say(wb, false, "%s; a computes it", t->site);
}

void act_patch_direction(struct workbench *wb, const struct key *k)
{
    struct patching *t = patching_of(wb);
    (void)k;
    if (!t)
        return;
    patching_turn(wb, !t->noise);
    patching_fresh(wb);
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
    patching_fresh(wb);
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

void act_patch_own_scale(struct workbench *wb, const struct key *k)
{
    struct patching *t = patching_of(wb);
    (void)k;
    if (!t)
        return;
    t->own_scale = !t->own_scale;
    for (int i = 0; i < PANE_SLOTS; i++)
        if (wb->panes[i].class && is_map(&wb->panes[i]))
            wb->panes[i].st.own_scale = t->own_scale;
    workbench_say(wb, false,
        t->own_scale ? "each map has a scale of its own" : "one scale for exact and estimate");
}

struct ranked {
    double v;
    int64_t at;
};

static int by_effect(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return x->v != y->v ? (x->v < y->v) - (x->v > y->v) : (x->at > y->at) - (x->at < y->at);
}

/* Cells of the drawn slice, the largest effect first; returns how many are numbers. */
static int64_t rank_effects(struct ranked **out, struct workbench *wb, const struct pane *p)
{
    const struct patching *t = wb->patching;
    const struct field *f = &p->field;
    const int row = p->st.row_axis, col = p->st.col_axis;
    const double none =
        isfinite(baseline(wb)) ? baseline(wb) : t->pair->pair->metric[patching_receiver(t)];
    struct window w = field_all(f);
    struct err e;
    for (int i = 0; i < f->rank; i++)
        if (i != row && i != col) {
            w.start[i] = p->st.at[i];
            w.count[i] = 1;
        }
    const int64_t n = window_count(&w, f->rank);
    double *v = arena_array(&wb->frame, (size_t)(n > 0 ? n : 1), sizeof *v, &e);
    struct ranked *c = arena_array(&wb->frame, (size_t)(n > 0 ? n : 1), sizeof *c, &e);
    int64_t k = 0;
    if (!v || !c || f->fetch(f, v, &w, FIELD_POINT, &e))
        return 0;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(v[i]))
            c[k++] = (struct ranked){fabs(v[i] - none), i};
    qsort(c, (size_t)k, sizeof *c, by_effect);
    *out = c;
    return k;
}

/* The cursor on the largest effect, from there to the next or back. */
static void step_peak(struct workbench *wb, int by)
{
    struct patching *t = wb->patching;
    struct pane *p = &wb->panes[wb->focus];
    struct view_data d;
    struct mark marks[PANE_HITS + 8];
    struct ranked *list;
    if (!t || !patching_pair(wb))
        return;
    pane_data(wb, p, &d, marks);
    if (!d.n || p->field.rank < 2 || p->st.col_axis < 0)
        return;
    const int row = p->st.row_axis, col = p->st.col_axis;
    const int64_t n = rank_effects(&list, wb, p);
    if (!n)
        return;
    const bool is_on = p->st.at[row] == t->peak_row && p->st.at[col] == t->peak_col;
    int at = is_on ? t->peak + by : 0;
    at = at < 0 ? 0 : at >= n ? (int)n - 1 : at;
    /* Row-major whichever of the two is drawn upwards. */
    const int64_t inner = p->field.axes[row > col ? row : col].size;
    const int64_t a = list[at].at / inner, b = list[at].at % inner;
    p->st.at[row] = row < col ? a : b;
    p->st.at[col] = row < col ? b : a;
    t->peak = at;
    t->peak_row = (int)p->st.at[row];
    t->peak_col = (int)p->st.at[col];
    lead(wb, p);
    workbench_selected(wb);
    workbench_say(wb, false, "number %d of %lld by the size of its effect", at + 1, (long long)n);
}

void act_patch_stronger(struct workbench *wb, const struct key *k)
{
    (void)k;
    step_peak(wb, 1);
}

void act_patch_weaker(struct workbench *wb, const struct key *k)
{
    (void)k;
    step_peak(wb, -1);
}

/* Another position: of the map that is drilled into, or of the cursor. */
static void step_pos(struct workbench *wb, int64_t by)
{
    struct patching *t = patching_of(wb);
    if (!t || !patching_pair(wb))
        return;
    const int recv = patching_receiver(t);
    const int64_t n = t->pair->pair->n[recv], last = align_columns(&t->rows) - 1;
    if (t->at < 0) {
        t->column = t->column + by < 0 ? 0 : t->column + by > last ? last : t->column + by;
        patching_lead(wb);
        workbench_selected(wb);
        return;
    }
    t->at = t->at + by < 0 ? 0 : t->at + by >= n ? n - 1 : t->at + by;
    t->column = align_column(&t->rows, recv, t->at);
    patching_lead(wb);
    workbench_selected(wb);
    patching_run(wb);
}

void act_patch_pos_next(struct workbench *wb, const struct key *k)
{
    (void)k;
    step_pos(wb, 1);
}

void act_patch_pos_prev(struct workbench *wb, const struct key *k)
{
    (void)k;
    step_pos(wb, -1);
}

#define PATCH_MAP                                                                                  \
    .view = "heatmap", .ask = ASK_PAIR, .why = why, .search_axis = -1, .data = data,               \
    .heading = heading, .sum = sum, .follow = follow, .lead = lead, .key = key

const struct pane_class pane_patch = {
    .name = "patch",
    .title = "activation patching, exact",
    .analysis = "patch",
    .empty = "a computes it; without a pair, :pair CLEAN CORRUPT or :pair ioi_tiny:1",
    PATCH_MAP,
};

const struct pane_class pane_estimate = {
    .name = "estimate",
    .title = "attribution patching, an estimate",
    .analysis = "attr",
    .empty = "a computes it",
    PATCH_MAP,
};
