#include <math.h>
#include <stdio.h>
#include <string.h>

#include "app/patching.h"
#include "views/number.h"
#include "views/show.h"

/* The circuit of the last `edges` that ended, drawn as a graph. */

static const struct block *edge_table(const struct report *r)
{
    const struct block *found = NULL;
    for (int i = 0; i < report_runs(r); i++) {
        struct run *run = report_run(r, i);
        for (int k = 0; !strcmp(run_analysis(run), "edges") && k < run_blocks(run); k++)
            if (!strcmp(block_spec(run_block_at(run, k))->name, "edge"))
                found = run_block_at(run, k);
    }
    return found;
}

/* A number of the block "circuit" of a report of edges; NaN: it has none. */
static double summary(const struct report *r, const char *what)
{
    char label[32];
    for (int i = 0; i < report_runs(r); i++) {
        struct run *run = report_run(r, i);
        for (int k = 0; !strcmp(run_analysis(run), "edges") && k < run_blocks(run); k++) {
            const struct block *b = run_block_at(run, k);
            struct field f;
            struct err e;
            if (strcmp(block_spec(b)->name, "circuit") != 0 || block_field(&f, b, -1, &e))
                continue;
            for (int64_t at = 0; at < f.axes[0].size; at++) {
                struct window w = {.start = {at}, .count = {1}, .stride = {1}};
                double v;
                if (!strcmp(axis_label(&f.axes[0], at, label, sizeof label), what))
                    return f.fetch(&f, &v, &w, FIELD_POINT, &e) ? NAN : v;
            }
        }
    }
    return NAN;
}

static bool data(struct workbench *wb, struct pane *p, struct arena *frame)
{
    struct patching *t = wb->patching;
    struct job_view j;
    (void)frame;
    p->e.code = 0;
    if (patching_job(wb, patching_edges(wb), &j) && j.state == JOB_FAILED)
        err_set(&p->e, ERR_USAGE, "%s", j.message);
    if (!t || !t->circuit)
        return false;
    const struct block *b = edge_table(t->circuit->report);
    if (!t->drawn.n && (!b || block_data(&t->drawn, b, &t->table, &p->e)))
        return false;
    p->field = t->drawn.fields[0];
    p->many = t->drawn.fields;
    p->n_many = t->drawn.n;
    return true;
}

static void heading(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    struct job_view j;
    double left = NAN;
    const struct patching *t = wb->patching;
    bool is_open =
        patching_job(wb, patching_edges((struct workbench *)wb), &j) && j.state <= JOB_RUNNING;
    if (is_open)
        left = job_seconds_left(&j);
    const struct sweep *own = patching_edges((struct workbench *)wb);
    const bool is_other = t && t->pair && t->circuit && (!own || own->serial != t->serial);
    size_t used = (size_t)snprintf(buf, n, "circuit%s",
        is_other            ? " of an earlier run, not of this pair"
        : own && t->circuit ? p->rect.w > 70 ? " of the pair" : ""
                            : "");
    const double kept = t && t->circuit ? summary(t->circuit->report, "faithfulness") : NAN;
    const struct number_form form = {.decimals = 2, .factor = 1, .suffix = ""};
    char faith[32], rest[32];
    if (isfinite(kept))
        used += (size_t)snprintf(buf + used, n - used, ": faithfulness %s, completeness %s",
            number_text(faith, sizeof faith, &form, kept, wb->glyphs),
            number_text(
                rest, sizeof rest, &form, summary(t->circuit->report, "completeness"), wb->glyphs));
    else
        used += (size_t)snprintf(buf + used, n - used, ": edges by attribution, strongest first");
    if (is_open && left < 360000)
        snprintf(buf + used, n - used, ", %.1f s left", left);
    else if (is_open)
        snprintf(buf + used, n - used, ", waits");
}

/* Why there is none yet. */
static bool why(struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    struct job_view j;
    (void)p;
    if (!patching_job(wb, patching_edges(wb), &j) || j.state > JOB_RUNNING)
        return false;
    snprintf(buf, n,
        j.state == JOB_WAITING ? "waits in the queue; J lists the jobs"
                               : "computing; Esc stops it");
    return true;
}

static void opened(struct workbench *wb, struct pane *p)
{
    (void)wb;
    p->st = (struct view_state){0};
}

void act_patch_circuit(struct workbench *wb, const struct key *k)
{
    (void)k;
    if (!wb->patching || !patching_pair(wb)) {
        workbench_say(wb, false, "no pair yet; :pair CLEAN CORRUPT, or :pair ioi_tiny:1");
        return;
    }
    patching_circuit(wb);
    if (wb->focus != PANE_CIRCUIT && align_is_done(&wb->patching->rows))
        workbench_drill(wb, PANE_CIRCUIT);
}

const struct pane_class pane_circuit = {
    .name = "circuit",
    .title = "circuit",
    .view = "graph",
    .analysis = "edges",
    .ask = ASK_COUNT,
    .empty = "c computes the circuit of the pair; so does :run edges --dataset ioi_tiny:20",
    .why = why,
    .search_axis = -1,
    .data = data,
    .heading = heading,
    .open = opened,
};
