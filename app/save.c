#include "app/save.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/graph.h"
#include "app/browse.h"
#include "app/output.h"
#include "app/patching.h"
#include "app/prompts.h"
#include "app/saver.h"
#include "app/words.h"
#include "model/core/json.h"
#include "model/core/text.h"
#include "model/ops.h"

/* What a person wants to keep of the workbench, each as the file that other commands and tools read. */

/* --- Reports ----------------------------------------------------------------------------------- */

/* The document that the focused pane's numbers are from, as a reference of one's own; NULL: none.
 * *job: the one that fills it, 0: none. */
static struct held_report *report_on_screen(struct workbench *wb, uint64_t *job)
{
    const struct pane *p = &wb->panes[wb->focus];
    const struct patching *t = wb->patching;
    const struct sweep *s = NULL;
    *job = 0;
    if (p->id == PANE_PATCH || p->id == PANE_ESTIMATE)
        s = patching_sweep(wb, p->id == PANE_PATCH ? SWEEP_EXACT : SWEEP_ESTIMATE);
    if (s && s->held) {
        *job = s->job;
        return held_report_share(s->held);
    }
    if (p->id == PANE_CIRCUIT && t && t->circuit)
        return held_report_share(t->circuit);
    if ((p->id == PANE_BLOCK || p->id == PANE_DOCUMENTS) && wb->browse && wb->browse->now) {
        const struct browse_doc *d = &wb->browse->docs[wb->browse->now->doc];
        *job = d->job;
        return d->job && wb->engine->jobs ? jobs_report(wb->engine->jobs, d->job) : NULL;
    }
    const struct answer *a = p->class->ask < ASK_PAIR ? workbench_answer(wb, p->class->ask) : NULL;
    return a ? held_report_share(a->held) : NULL;
}

static int write_report(void *arg, const char *path, save_step *step, void *saver, struct err *e)
{
    const struct held_report *from = arg;
    struct report *out = NULL;
    int rc = report_create(&out, path, e);
    const struct report_info info = {.command = "save report",
        .kernel_set = ops_kernel_set(),
        .tool_version = SONDE_VERSION,
        .threads = 0};
    if (!rc)
        rc = report_describe(out, &info, e);
    if (!rc)
        rc = report_append(out, from->report, step, saver, e);
    /* Half of what is there in memory is of no use: unlike a run's, it is not kept. */
    const bool is_stopped = rc == ERR_CANCEL;
    rc = output_close(&out, path, is_stopped ? ERR_OUTPUT : rc, NULL, e);
    return is_stopped ? ERR_CANCEL : rc;
}

static void release_report(void *arg)
{
    struct held_report *h = arg;
    held_report_release(&h);
}

static int save_report(struct workbench *wb, const char *path, struct err *e)
{
    uint64_t job;
    struct job_view j;
    struct held_report *from = report_on_screen(wb, &job);
    if (!from)
        return err_set(e, ERR_USAGE,
            "this pane shows no report: go to one of numbers, or to a job's (J, Enter)");
    if (job && wb->engine->jobs && jobs_find(wb->engine->jobs, &j, job) && j.state == JOB_RUNNING) {
        held_report_release(&from);
        return err_set(e, ERR_USAGE, "%s still fills it; wait, or cancel it with J", j.name);
    }
    saver_start(wb, path, &(struct save_work){"report", true, write_report, release_report, from});
    return 0;
}

/* --- Pairs and prompts ------------------------------------------------------------------------- */

/* "#12" is an id, "[1, 2]" a prompt of ids, all else text. */
static void put_word(struct js_out *w, const char *word)
{
    char *end;
    long id = *word == '#' ? strtol(word + 1, &end, 10) : -1;
    if (id >= 0 && end != word + 1 && !*end) {
        js_out_int(w, id);
        return;
    }
    struct js *j = NULL;
    struct err e;
    if (*word != '[' || js_parse(&j, word, strlen(word), 0, "ids", &e)) {
        js_out_text(w, word);
        return;
    }
    js_out_begin(w, '[');
    for (size_t i = 0; i < js_count(j); i++) {
        int64_t v = 0;
        js_int(&v, js_at(j, i));
        js_out_int(w, v);
    }
    js_out_end(w, ']');
    js_release(&j);
}

/* The values of one flag among the words of a pair. */
static void put_flag(struct js_out *w, char *const *words, int n, const char *flag, const char *key)
{
    int found = 0;
    for (int i = 0; i + 1 < n; i += 2)
        found += !strcmp(words[i], flag);
    if (!found)
        return;
    js_out_key(w, key);
    if (found > 1)
        js_out_begin(w, '[');
    for (int i = 0; i + 1 < n; i += 2)
        if (!strcmp(words[i], flag))
            put_word(w, words[i + 1]);
    if (found > 1)
        js_out_end(w, ']');
}

static int put_align(
    struct js_out *w, const struct align_rows *rows, struct arena *a, struct err *e)
{
    int64_t(*spans)[4] = arena_array(a, (size_t)align_columns(rows) + 1, sizeof *spans, e);
    if (!spans)
        return e->code;
    const int n = align_is_done(rows) ? align_spans(spans, rows) : 0;
    if (!n)
        return 0;
    js_out_key(w, "align");
    js_out_begin(w, '[');
    for (int i = 0; i < n; i++) {
        js_out_begin(w, '[');
        for (int k = 0; k < 4; k++)
            js_out_int(w, spans[i][k]);
        js_out_end(w, ']');
    }
    js_out_end(w, ']');
    return 0;
}

/* The lines of a JSONL file; takes what w holds. */
static int save_lines(
    struct workbench *wb, const char *what, struct js_out *w, const char *path, struct err *e)
{
    struct buf b = {0};
    js_out_newline(w);
    int rc = js_out_done(w, e);
    if (!rc) {
        buf_puts(&b, w->data);
        saver_text(wb, what, path, &b);
    }
    js_out_release(w);
    return rc;
}

static int save_pair(struct workbench *wb, const char *path, struct err *e)
{
    const struct paired *q = patching_pair(wb);
    struct arena scratch = {0};
    struct js_out w = {0};
    char **words;
    int n;
    if (!q)
        return err_set(e, ERR_USAGE, "no pair yet; :pair CLEAN CORRUPT, or :pair ioi_tiny:1");
    int rc = words_split(&words, &n, q->flags, &scratch, e);
    if (!rc) {
        js_out_begin(&w, '{');
        put_flag(&w, words, n, "--clean", "clean");
        put_flag(&w, words, n, "--corrupt", "corrupt");
        put_flag(&w, words, n, "--answer", "answer");
        put_flag(&w, words, n, "--wrong", "wrong_answer");
        rc = put_align(&w, &wb->patching->rows, &scratch, e);
        js_out_end(&w, '}');
    }
    if (!rc)
        rc = save_lines(wb, "pair", &w, path, e);
    js_out_release(&w);
    arena_release(&scratch);
    return rc;
}

static int save_prompts(struct workbench *wb, const char *path, struct err *e)
{
    struct js_out w = {0};
    for (int i = 0; i < prompts_count(wb); i++) {
        if (i)
            js_out_newline(&w);
        js_out_begin(&w, '{');
        js_out_key(&w, "text");
        js_out_text(&w, prompts_text(wb, i));
        js_out_end(&w, '}');
    }
    return save_lines(wb, "prompts", &w, path, e);
}

/* --- The circuit ------------------------------------------------------------------------------- */

static const struct block *circuit_block(const struct report *r, const char *name)
{
    const struct block *found = NULL;
    for (int i = 0; i < report_runs(r); i++) {
        struct run *run = report_run(r, i);
        for (int k = 0; !strcmp(run_analysis(run), "edges") && k < run_blocks(run); k++)
            if (!strcmp(block_spec(run_block_at(run, k))->name, name))
                found = run_block_at(run, k);
    }
    return found;
}

static int64_t find_name(const struct graph *g, bool is_writer, int64_t n, const char *name)
{
    char own[GRAPH_NAME];
    for (int64_t i = 0; i < n; i++) {
        if (is_writer)
            graph_writer_name(own, g, i);
        else
            graph_reader_name(own, g, i);
        if (!strcmp(own, name))
            return i;
    }
    return -1;
}

/* Which edges the circuit has, and the nodes at their ends. */
static int take_kept(struct graph *g, const struct block *table, struct err *e)
{
    for (int64_t i = 0; i < block_rows(table); i++) {
        /* A text stays only until the next one is read. */
        struct cell_value cell;
        if (block_cell(&cell, table, i, 4, e))
            return e->code;
        if (!(cell.number > 0))
            continue;
        if (block_cell(&cell, table, i, 0, e))
            return e->code;
        const int64_t u = find_name(g, true, g->writers, cell.text ? cell.text : "");
        if (block_cell(&cell, table, i, 1, e))
            return e->code;
        const int64_t v = find_name(g, false, g->readers, cell.text ? cell.text : "");
        if (u < 0 || v < 0)
            return err_set(e, ERR_INPUT, "the circuit is of a model of another shape");
        g->kept[u * g->readers + v] = 1;
        g->node[u] = g->node[graph_owner(g, v)] = 1;
    }
    return 0;
}

struct circuit {
    struct held_report *held;
    struct config cfg;
    struct arena arena; /* of the graph */
};

static int fill_scores(struct graph *g, const struct block *score, struct arena *a, struct err *e)
{
    struct field f;
    int rc = block_field(&f, score, -1, e);
    if (!rc && (f.rank != 2 || f.axes[0].size != g->writers || f.axes[1].size != g->readers))
        rc = err_set(e, ERR_INPUT, "the circuit is of a model of another shape");
    struct window w = rc ? (struct window){{0}, {0}, {0}} : field_all(&f);
    double *v = rc ? NULL : arena_array(a, (size_t)(g->writers * g->readers), sizeof *v, e);
    if (!rc)
        rc = v ? f.fetch(&f, v, &w, FIELD_POINT, e) : ERR_LIMIT;
    for (int64_t i = 0; !rc && i < g->writers * g->readers; i++)
        g->score[i] = (float)v[i];
    return rc;
}

static int write_circuit(void *arg, const char *path, save_step *step, void *saver, struct err *e)
{
    struct circuit *c = arg;
    struct graph g;
    (void)step, (void)saver;
    int rc = graph_init(&g, &c->cfg, &c->arena, e);
    if (!rc)
        rc = fill_scores(&g, circuit_block(c->held->report, "score"), &c->arena, e);
    if (!rc)
        rc = take_kept(&g, circuit_block(c->held->report, "edge"), e);
    return rc ? rc : graph_write(path, &g, e);
}

static void release_circuit(void *arg)
{
    struct circuit *c = arg;
    held_report_release(&c->held);
    arena_release(&c->arena);
    free(c);
}

static int save_circuit(struct workbench *wb, const char *path, struct err *e)
{
    const struct patching *t = wb->patching;
    const struct report *r = t && t->circuit ? t->circuit->report : NULL;
    if (!r || !circuit_block(r, "score") || !circuit_block(r, "edge"))
        return err_set(e, ERR_USAGE, "no circuit yet; c computes the pair's, :run edges any");
    struct circuit *c = malloc(sizeof *c);
    if (!c)
        return err_set(e, ERR_LIMIT, "no memory for the circuit");
    *c = (struct circuit){.held = held_report_share(t->circuit), .cfg = wb->facts.cfg};
    saver_start(wb, path, &(struct save_work){"circuit", true, write_circuit, release_circuit, c});
    return 0;
}

/* --- The word ---------------------------------------------------------------------------------- */

static int save_edits(struct workbench *wb, const char *path, struct err *e)
{
    (void)e;
    colon_save_edits(wb, path);
    return 0;
}

static int save_view(struct workbench *wb, const char *path, struct err *e)
{
    (void)e;
    export_pane(wb, path);
    return 0;
}

static int save_screen(struct workbench *wb, const char *path, struct err *e)
{
    (void)e;
    export_screen(wb, path);
    return 0;
}

/* KIND(name, file): what there is, and the file it goes to unless one is named. */
#define KINDS(KIND)                                                                                \
    KIND(report, "report.h5")                                                                      \
    KIND(pair, "pair.jsonl")                                                                       \
    KIND(prompts, "prompts.jsonl")                                                                 \
    KIND(circuit, "circuit.json")                                                                  \
    KIND(edits, "edits.txt")                                                                       \
    KIND(view, "view.svg")                                                                         \
    KIND(screen, "screen.svg")

static const struct {
    const char *name, *file;
    /* Takes what is to be written and leaves the writing to the saver, which says when it is done. */
    int (*save)(struct workbench *wb, const char *path, struct err *e);
} kinds[] = {
#define KIND(name, file) {#name, file, save_##name},
    KINDS(KIND)
#undef KIND
};

const char *save_kinds(void)
{
#define KIND(name, file) #name "|"
    static const char list[] = KINDS(KIND);
#undef KIND
    return list;
}

void colon_save(struct workbench *wb, const char *arg)
{
    struct err e = {0};
    char name[16], path[4096];
    arg += strspn(arg, " ");
    size_t n = strcspn(arg, " ");
    snprintf(name, sizeof name, "%.*s", n < sizeof name ? (int)n : 0, arg);
    arg += n;
    arg += strspn(arg, " ");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, name) != 0)
            continue;
        snprintf(path, sizeof path, "%s", *arg ? arg : kinds[i].file);
        for (size_t k = strlen(path); k && path[k - 1] == ' ';)
            path[--k] = '\0';
        if (kinds[i].save(wb, path, &e))
            workbench_say(wb, true, "%s", e.msg);
        return;
    }
    const char *all = save_kinds();
    workbench_say(wb, true, "save takes %.*s, and a file", (int)strlen(all) - 1, all);
}
