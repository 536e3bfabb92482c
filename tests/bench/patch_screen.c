/* From pressing Enter on a sweep in the workbench to the first row of its map, and to its end: the whole
 * of head_z_by_pos, then the heads and the neurons of one cell.
 *
 *     bench_patch_screen [MODEL] [TOKENS]      default: tiny 40 */
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/embedded.h"
#include "app/patching.h"
#include "app/session.h"
#include "model/core/machine.h"

struct rig {
    struct session s;
    struct command c;
    struct arena arena;
    struct engine *g;
    struct workbench wb;
    struct canvas canvas;
};

/* One turn of the program's own loop, in 200 x 60. */
static void turn(struct rig *r)
{
    struct pollfd p = {r->g->wake_fd, POLLIN, 0};
    uint64_t n;
    if (poll(&p, 1, 250) > 0 && read(r->g->wake_fd, &n, sizeof n) < 0)
        return;
    workbench_poll(&r->wb);
    workbench_draw(&r->wb, &r->canvas);
}

static bool is_idle(struct rig *r)
{
    struct engine_state s;
    r->g->state(r->g, &s);
    return !s.is_busy && !s.has_job && !s.n_waiting;
}

static void settle(struct rig *r)
{
    for (int idle = 0; idle < 3; idle = is_idle(r) ? idle + 1 : 0)
        turn(r);
}

/* Cells of a map that have a number. */
static int64_t filled(struct rig *r, enum sweep_kind kind, int64_t *of)
{
    struct sweep *s = patching_sweep(&r->wb, kind);
    struct err e;
    int64_t n = 0;
    *of = 0;
    for (int i = 0; s && s->held && i < report_runs(s->held->report); i++) {
        struct run *run = report_run(s->held->report, i);
        for (int k = 0; k < run_blocks(run); k++) {
            struct field f;
            struct block *b = run_block_at(run, k);
            if (strcmp(block_spec(b)->name, r->wb.patching->site) != 0 ||
                block_field(&f, b, -1, &e))
                continue;
            struct window w = field_all(&f);
            const int64_t at = r->wb.patching->at;
            for (int d = 1; d < f.rank && at >= 0; d++)
                if (f.axes[d].kind == AXIS_POS) { /* the one position that is patched */
                    w.start[d] = at;
                    w.count[d] = 1;
                }
            *of = window_count(&w, f.rank);
            double *v = malloc((size_t)*of * sizeof *v);
            if (v && !f.fetch(&f, v, &w, FIELD_POINT, &e))
                for (int64_t j = 0; j < *of; j++)
                    n += !isnan(v[j]);
            free(v);
        }
    }
    return n;
}

static void press(struct rig *r, const char *name)
{
    struct key k = {0};
    snprintf(k.name, sizeof k.name, "%s", name);
    k.text[0] = name[1] ? '\0' : name[0];
    workbench_key(&r->wb, &k);
}

static void measure(struct rig *r, const char *what, double began, double most)
{
    int64_t of = 0, n = 0, first_n = 0;
    double first = NAN, estimate = NAN;
    while (machine_seconds() - began < most) {
        turn(r);
        if (isnan(estimate) && filled(r, SWEEP_ESTIMATE, &of))
            estimate = machine_seconds() - began;
        n = filled(r, SWEEP_EXACT, &of);
        if (n && isnan(first)) {
            first = machine_seconds() - began;
            first_n = n;
        }
        if (n && is_idle(r))
            break;
    }
    printf("%-26s estimate after %.2f s, first %5lld of %7lld cells after %.2f s, %6lld after %.1f "
           "s\n",
        what, estimate, (long long)first_n, (long long)of, first, (long long)n,
        machine_seconds() - began);
    fflush(stdout);
}

static char *ids(int n, int seed, int64_t vocab)
{
    char *text = malloc(16 * (size_t)n + 16), *at = text;
    at += sprintf(at, "[");
    for (int i = 0; i < n; i++)
        at += sprintf(at, "%s%lld", i ? ", " : "", (long long)(i ? (i * seed + 11) % vocab : 1));
    sprintf(at, "]");
    return text;
}

int main(int argc, char **argv)
{
    struct rig r = {.g = NULL};
    struct err e = {0};
    char flag[] = "-m", tiny[] = "tiny", line[8192];
    char *words[2] = {flag, argc > 1 ? argv[1] : tiny};
    const int n = argc > 2 ? atoi(argv[2]) : 40;
    embedded_register();
    session_init(&r.s);
    if (command_parse(&r.c, words, 2, &r.arena, &e) || engine_create(&r.g, &r.s, &r.c, &e) ||
        workbench_init(&r.wb, r.g, "a", true, &e) || canvas_init(&r.canvas, 200, 60, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    workbench_open(&r.wb, words[1]);
    settle(&r);
    char *clean = ids(n, 37, r.wb.facts.cfg.vocab), *corrupt = ids(n, 41, r.wb.facts.cfg.vocab);
    snprintf(line, sizeof line, "pair '%s' '%s' '#5' '#6'", clean, corrupt);
    double began = machine_seconds();
    colon_run(&r.wb, line);
    measure(&r, "resid_pre, with the pair", began, 600);
    began = machine_seconds();
    colon_run(&r.wb, "sweep site=head_z_by_pos");
    measure(&r, "head_z_by_pos", began, 40);
    jobs_cancel(r.g->jobs, 0);
    patching_stop(&r.wb);
    settle(&r);
    static const char *const sites[] = {"attn_out", "mlp_out"};
    for (int i = 0; i < 2; i++) {
        snprintf(line, sizeof line, "sweep site=%s", sites[i]);
        began = machine_seconds();
        colon_run(&r.wb, line);
        measure(&r, sites[i], began, 600);
        press(&r, ">");
        began = machine_seconds();
        press(&r, "Enter");
        snprintf(line, sizeof line, "Enter on a cell of %s", sites[i]);
        measure(&r, line, began, 60);
        patching_stop(&r.wb);
        settle(&r);
        press(&r, "Esc");
    }
    free(clean);
    free(corrupt);
    workbench_release(&r.wb);
    engine_release(&r.g);
    session_release(&r.s);
    canvas_release(&r.canvas);
    arena_release(&r.arena);
    return 0;
}
