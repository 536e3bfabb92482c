#include "tests/unit/app/live.h"

#include <math.h>
#include <stdlib.h>

#include "app/prompts.h"
#include "model/core/text.h"

/* What a pane shows is what the report of the same command holds: the workbench on the embedded model,
 * every pane's text against blocks of reports made by jobs. */

#define OTHER "When Mara and Tobin went to the harbour, Tobin gave the lantern to"

/* The report of a command, made by a job. */
static struct held_report *report_of(const char *line)
{
    struct job_view v;
    struct question q = {.ask = ASK_COMMAND, .text = line, .serial = 1000000};
    b.g->ask(b.g, &q);
    while (!is_idle())
        poll(NULL, 0, 2);
    assert_int_equal(jobs_list(b.g->jobs, &v, 1), 1);
    if (v.state != JOB_DONE)
        fail_msg("%s: %s", line, v.message);
    struct held_report *h = jobs_report(b.g->jobs, v.id);
    assert_non_null(h);
    return h;
}

static struct block *block_of(const struct held_report *h, const char *analysis, const char *name)
{
    for (int r = 0; r < report_runs(h->report); r++) {
        struct run *run = report_run(h->report, r);
        for (int i = 0; i < run_blocks(run); i++)
            if (!strcmp(run_analysis(run), analysis) &&
                !strcmp(block_spec(run_block_at(run, i))->name, name))
                return run_block_at(run, i);
    }
    fail_msg("no block %s of %s", name, analysis);
    return NULL;
}

static double at(const struct block *blk, int64_t i, int64_t j, int64_t k, int64_t l)
{
    struct field f;
    struct window w = {.start = {i, j, k, l}, .count = {1, 1, 1, 1}, .stride = {1, 1, 1, 1}};
    double v;
    assert_int_equal(block_field(&f, blk, -1, &b.e), 0);
    assert_int_equal(f.fetch(&f, &v, &w, FIELD_POINT, &b.e), 0);
    return v;
}

/* The whole screen shows one pane. */
static void show(int pane)
{
    b.wb.zoomed = pane;
    workbench_focus(&b.wb, pane);
    workbench_draw(&b.wb, &b.canvas);
}

static void __attribute__((format(printf, 1, 2))) shows(const char *fmt, ...)
{
    char want[512];
    struct buf out = {0};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(want, sizeof want, fmt, ap);
    va_end(ap);
    workbench_draw(&b.wb, &b.canvas);
    canvas_write(&out, &b.canvas, CANVAS_PLAIN);
    if (!strstr(out.data, want))
        fail_msg("no \"%s\" on\n%s", want, out.data);
    buf_release(&out);
}

/* A line that begins with the label goes on with the number: "L3H3   +4.52". */
static void bar_shows(const char *label, const char *number)
{
    struct buf out = {0};
    bool found = false;
    workbench_draw(&b.wb, &b.canvas);
    canvas_write(&out, &b.canvas, CANVAS_PLAIN);
    for (char *line = strtok(out.data, "\n"); line && !found; line = strtok(NULL, "\n")) {
        size_t n = strlen(label);
        line += strncmp(line, "│ ", strlen("│ ")) ? 0 : strlen("│ ");
        if (strncmp(line, label, n) != 0 || line[n] != ' ')
            continue;
        const char *rest = line + n + strspn(line + n, " ");
        found = !strncmp(rest, number, strlen(number)) && strchr(" %\0", rest[strlen(number)]);
    }
    buf_release(&out);
    if (!found)
        fail_msg("no bar \"%s %s\"", label, number);
}

/* "+4.52", "−0.30": logits as panes write them. */
static const char *logits(char buf[32], double v)
{
    double r = round(fabs(v) * 100) / 100;
    snprintf(buf, 32, "%s%.2f", r == 0 ? "" : v < 0 ? "−" : "+", r);
    return buf;
}

static void lens_and_next_token(void **state)
{
    (void)state;
    char line[512], token[64];
    snprintf(line, sizeof line, "run lens --top 24 --target '#%lld' -p '" TEXT "'",
        (long long)b.wb.lens->target);
    struct held_report *h = report_of(line);
    struct block *logprob = block_of(h, "lens", "target_logprob");
    struct block *rank = block_of(h, "lens", "target_rank");
    struct block *entropy = block_of(h, "lens", "entropy"),
                 *kl = block_of(h, "lens", "kl_to_final");
    struct block *top = block_of(h, "lens", "top_logprob"), *ids = block_of(h, "lens", "top_token");
    int64_t L = b.wb.facts.cfg.n_layer, T = b.wb.lens->n;
    for (int64_t l = 0; l <= L; l++)
        for (int64_t t = 0; t < T; t += 3) {
            b.wb.sel.row = l;
            b.wb.sel.pos = t;
            show(PANE_LENS);
            shows("at %lld: ·Tobin %.1f %%, rank %.0f, entropy %.3f nats, KL %.3f nats",
                (long long)t, 100 * exp(at(logprob, l, t, 0, 0)), at(rank, l, t, 0, 0),
                at(entropy, l, t, 0, 0), at(kl, l, t, 0, 0));
            show(PANE_CELL);
            shows("entropy %.3f nats", at(entropy, l, t, 0, 0));
            for (int k = 0; k < 5; k++) {
                size_t n;
                char bytes[64], percent[32];
                const char *s =
                    tokenizer_bytes(b.wb.lens->model->tokenizer, (int64_t)at(ids, l, t, k, 0), &n);
                snprintf(bytes, sizeof bytes, "%.*s", (int)n, s);
                token_show(token, sizeof token, bytes);
                snprintf(percent, sizeof percent, "%.1f", 100 * exp(at(top, l, t, k, 0)));
                bar_shows(token, percent);
            }
        }
    b.wb.sel.pos = T - 1;
    show(PANE_NEXT);
    for (int k = 0; k < 5; k++)
        shows("%.1f %%", 100 * exp(at(top, L, T - 1, k, 0)));
    shows("entropy %.3f nats", at(entropy, L, T - 1, 0, 0));
    held_report_release(&h);
}

static void tokens(void **state)
{
    (void)state;
    struct report_input in;
    struct held_report *h = report_of("run norms -p '" TEXT "'");
    assert_int_equal(report_input(&in, h->report, 0, &b.e), 0);
    b.wb.zoomed = SLOT_NONE;
    workbench_focus(&b.wb, PANE_TOKENS);
    for (int64_t t = 0; t < in.n; t++) {
        char token[64];
        b.wb.sel.pos = t;
        workbench_draw(&b.wb, &b.canvas);
        char want[128];
        snprintf(want, sizeof want, "position %lld of %lld, id %d", (long long)t, (long long)in.n,
            in.tokens[t]);
        assert_non_null(strstr(b.wb.panes[PANE_TOKENS].readout, want));
        token_show(token, sizeof token, t ? in.token_str[t] : "BOS");
        shows("%s", token);
    }
    held_report_release(&h);
}

static void attention(void **state)
{
    (void)state;
    struct held_report *h = report_of("run attention -p '" TEXT "'");
    struct block *pattern = block_of(h, "attention", "pattern");
    int64_t T = b.wb.lens->n;
    for (int64_t l = 0; l < b.wb.facts.cfg.n_layer; l += 2)
        for (int64_t q = 0; q < T; q += 4) {
            double mean = 0;
            b.wb.sel = (struct selection){
                .pos = q, .key = q / 2, .row = l, .layer = l, .head = (l + q) % 4};
            for (int64_t t = 0; t < T; t++)
                mean += at(pattern, l, b.wb.sel.head, t, 0) / (double)T;
            show(PANE_ATTENTION);
            shows("(%lld) %.3f, ", (long long)b.wb.sel.key,
                at(pattern, l, b.wb.sel.head, q, b.wb.sel.key));
            shows("position 0: %.2f here, %.2f mean of rows", at(pattern, l, b.wb.sel.head, q, 0),
                mean);
            show(PANE_HEADS);
            shows("L%lldH%lld  mass on position 0: %.2f here, %.2f mean of rows", (long long)l,
                (long long)b.wb.sel.head, at(pattern, l, b.wb.sel.head, q, 0), mean);
        }
    held_report_release(&h);
}

static void attribution(void **state)
{
    (void)state;
    char line[512], number[32];
    b.wb.sel = (struct selection){.pos = b.wb.lens->n - 1, .row = 3, .layer = 3};
    workbench_ask(&b.wb, ASK_DLA);
    workbench_ask(&b.wb, ASK_NEURONS);
    settle();
    snprintf(line, sizeof line,
        "run dla --pos %lld --target '#%lld' --versus '#%lld' -p '" TEXT "'",
        (long long)b.wb.dla->pos, (long long)b.wb.dla->target, (long long)b.wb.dla->versus);
    struct held_report *h = report_of(line);
    struct block *parts = block_of(h, "dla", "contribution"),
                 *ledger = block_of(h, "dla", "ledger");
    const struct axis *x = &block_spec(parts)->axes[0];
    b.wb.panes[PANE_DLA].st.at[0] = 0;
    show(PANE_DLA);
    for (int64_t i = 0; i < x->size; i++)
        bar_shows(x->labels[i], logits(number, at(parts, i, 0, 0, 0)));
    char sum[64];
    snprintf(sum, sizeof sum, "Σ %.3f  true %.3f", at(ledger, 1, 0, 0, 0), at(ledger, 2, 0, 0, 0));
    shows("%s", sum);
    held_report_release(&h);
    strcat(line, " --neurons 3");
    h = report_of(line);
    parts = block_of(h, "dla", "contribution");
    x = &block_spec(parts)->axes[0];
    show(PANE_NEURONS);
    int64_t best = -1;
    for (int64_t i = 0; i < x->size; i++)
        if (strchr(x->labels[i], 'N') &&
            (best < 0 || fabs(at(parts, i, 0, 0, 0)) > fabs(at(parts, best, 0, 0, 0))))
            best = i;
    bar_shows(x->labels[best], logits(number, at(parts, best, 0, 0, 0)));
    held_report_release(&h);
}

/* Every fact of a thing's dossier, in the digits its unit has. */
static void dossier_of(const char *of)
{
    char line[600], want[128];
    show(PANE_LENS);
    snprintf(line, sizeof line, "dossier %s", of);
    colon_run(&b.wb, line);
    settle();
    snprintf(line, sizeof line,
        "run dossier --of %s --pos %lld --target '#%lld' --versus '#%lld' --effect=%s -p '" TEXT
        "'",
        of, (long long)b.wb.sel.pos, (long long)b.wb.dla->target, (long long)b.wb.dla->versus,
        of[0] == '@' ? "false" : "true");
    struct held_report *h = report_of(line);
    struct block *facts = block_of(h, "dossier", "facts");
    static const struct {
        const char *unit, *form;
        double factor;
    } forms[] = {{"logits", "%.2f logits", 1}, {"nats", "%.3f nats", 1},
        {"probability", "%.1f %%", 100}, {"rank", "%.0f", 1}, {"position", "%.0f", 1},
        {"token id", "%.0f", 1}};
    int seen = 0;
    for (int64_t r = 0; r < block_rows(facts); r++) {
        struct cell_value name, value, unit;
        char label[128], shown[64];
        assert_int_equal(block_cell(&name, facts, r, 0, &b.e), 0);
        snprintf(label, sizeof label, "%s", name.text);
        assert_int_equal(block_cell(&unit, facts, r, 2, &b.e), 0);
        snprintf(shown, sizeof shown, "%s", unit.text);
        assert_int_equal(block_cell(&value, facts, r, 1, &b.e), 0);
        for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
            if (strcmp(forms[i].unit, shown) != 0)
                continue;
            char digits[64];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            snprintf(digits, sizeof digits, forms[i].form, fabs(value.number) * forms[i].factor);
#pragma GCC diagnostic pop
            double rounded = strtod(digits, NULL);
            snprintf(want, sizeof want, "%s%s", value.number < 0 && rounded > 0 ? "−" : "", digits);
            struct buf out = {0};
            workbench_draw(&b.wb, &b.canvas);
            canvas_write(&out, &b.canvas, CANVAS_PLAIN);
            char *line_of = strstr(out.data, label), *found = NULL;
            for (; line_of && !found; line_of = strstr(line_of + 1, label)) {
                char *end = strchr(line_of, '\n'), *hit = strstr(line_of, want);
                found = hit && hit < end ? hit : NULL;
            }
            if (!found)
                fail_msg("%s: no \"%s %s\" on\n%s", of, label, want, out.data);
            buf_release(&out);
            seen++;
        }
    }
    assert_true(seen > 4);
    held_report_release(&h);
}

static void dossiers(void **state)
{
    (void)state;
    b.wb.sel.pos = b.wb.lens->n - 1;
    workbench_ask(&b.wb, ASK_DLA);
    settle();
    dossier_of("L3H3");
    dossier_of("L2N17");
    dossier_of("L1");
    dossier_of("@4");
}

/* None for what rounds to nothing. */
static const char *sign_of(double v, double half)
{
    return fabs(v) < half ? "" : v < 0 ? "−" : "+";
}

static void comparison(void **state)
{
    (void)state;
    char line[512];
    b.wb.sel.pos = -1;
    prompts_add(&b.wb, OTHER);
    settle();
    press("C");
    assert_int_equal(prompts_other(&b.wb), 0);
    int64_t target = b.wb.lens->target, T = b.wb.lens->n;
    struct held_report *h[2];
    struct block *logprob[2], *pattern[2];
    for (int i = 0; i < 2; i++) {
        snprintf(line, sizeof line, "run lens,attention --lens.target '#%lld' -p '%s'",
            (long long)target, i ? TEXT : OTHER);
        h[i] = report_of(line);
        logprob[i] = block_of(h[i], "lens", "target_logprob");
        pattern[i] = block_of(h[i], "attention", "pattern");
    }
    show(PANE_COMPARE);
    shows("1 of A's tokens differ");
    for (int64_t l = 0; l <= b.wb.facts.cfg.n_layer; l++) {
        b.wb.sel.row = l;
        b.wb.sel.pos = T - 1;
        double here = 100 * exp(at(logprob[0], l, T - 1, 0, 0));
        double there = 100 * exp(at(logprob[1], l, T - 1, 0, 0));
        shows("%.1f %% at %lld, %.1f %% at %lld of B, difference %s%.1f pp", here, (long long)T - 1,
            there, (long long)T - 1, sign_of(here - there, 0.05), fabs(here - there));
    }
    press("m");
    b.wb.sel.layer = 3;
    b.wb.sel.head = 3;
    b.wb.sel.key = 4;
    double by = at(pattern[0], 3, 3, T - 1, 4) - at(pattern[1], 3, 3, T - 1, 4);
    shows("): %s%.3f", sign_of(by, 0.0005), fabs(by));
    held_report_release(&h[0]);
    held_report_release(&h[1]);
    colon_run(&b.wb, "edit L3H3=mean"); /* of each prompt its own */
    settle();
    shows("tokens differ; mean over 1 input each");
    press("u");
    settle();
    press("Esc");
    /* Going back to the first prompt asks nothing: its answer is there. */
    const struct answer *was = b.wb.lens;
    press(")");
    assert_string_equal(b.wb.shown_prompt, TEXT);
    press(")");
    assert_ptr_equal(b.wb.lens, was);
}

/* Under an edit: now and before, against reports with and without it. */
static void before_and_after(void **state)
{
    (void)state;
    char line[512];
    prompts_switch(&b.wb, 0);
    settle();
    b.wb.sel.pos = b.wb.lens->n - 1;
    b.wb.zoomed = SLOT_NONE;
    settle();
    colon_run(&b.wb, "edit L3H3=zero");
    settle();
    assert_non_null(b.wb.base);
    struct held_report *h[2];
    for (int i = 0; i < 2; i++) {
        snprintf(line, sizeof line, "run lens --top 24 --target '#%lld' -p '" TEXT "'%s",
            (long long)b.wb.lens->target, i ? " --edit L3H3=zero" : "");
        h[i] = report_of(line);
    }
    struct block *was = block_of(h[0], "lens", "target_logprob");
    struct block *now = block_of(h[1], "lens", "target_logprob");
    int64_t L = b.wb.facts.cfg.n_layer, last = b.wb.lens->n - 1;
    show(PANE_NEXT);
    for (int64_t k = 0; k < 24; k++)
        if ((int64_t)at(block_of(h[1], "lens", "top_token"), L, last, k, 0) == b.wb.lens->target)
            b.wb.panes[PANE_NEXT].st.at[0] = k;
    shows("·Tobin %.1f %%, was %.1f %%", 100 * exp(at(now, L, last, 0, 0)),
        100 * exp(at(was, L, last, 0, 0)));
    char before[32];
    snprintf(before, sizeof before, "·Tobin (%.1f)", 100 * exp(at(was, L, last, 0, 0)));
    char percent[32];
    snprintf(percent, sizeof percent, "%.1f", 100 * exp(at(now, L, last, 0, 0)));
    bar_shows(before, percent);
    /* The lens' signed change is the difference of the two reports, cell by cell. */
    struct pane *p = &b.wb.panes[PANE_LENS];
    p->metric = 0;
    show(PANE_LENS);
    press("d");
    for (int64_t l = 0; l <= L; l++)
        for (int64_t t = 0; t <= last; t++) {
            struct window w = {.start = {l, t}, .count = {1, 1}, .stride = {1, 1}};
            double v;
            assert_int_equal(p->field.fetch(&p->field, &v, &w, FIELD_POINT, &b.e), 0);
            double want = exp(at(now, l, t, 0, 0)) - exp(at(was, l, t, 0, 0));
            if (!(fabs(v - want) < 1e-12))
                fail_msg("change at %d %d: %g, reports %g", (int)l, (int)t, v, want);
        }
    press("d");
    held_report_release(&h[0]);
    held_report_release(&h[1]);
    colon_run(&b.wb, "clear");
    settle();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lens_and_next_token),
        cmocka_unit_test(tokens),
        cmocka_unit_test(attention),
        cmocka_unit_test(attribution),
        cmocka_unit_test(dossiers),
        cmocka_unit_test(comparison),
        cmocka_unit_test(before_and_after),
    };
    embedded_register();
    return cmocka_run_group_tests(tests, setup, teardown);
}
