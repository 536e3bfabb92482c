#ifndef SONDE_TESTS_FAKE_H
#define SONDE_TESTS_FAKE_H

#include <math.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/saver.h"
#include "app/workbench.h"

/* The workbench on key scripts, with an engine that answers at once from made-up numbers. */

enum { L = 2, H = 2, T = 4, K = 3 };

static const char *const words[T] = {"BOS", "When", " Mara", " gave"};
static const int32_t ids[T] = {0, 10, 11, 12};
static const char *const best[K] = {" the", " Tobin", "\x1b[31m"};
static const char *const layers[L + 1] = {"L0", "L1", "final"};
static const char *const parts[] = {
    "embed", "pos_embed", "L0H0", "L0H1", "L1H0", "L1H1", "L0_mlp", "L1_mlp", "bias"};
enum { PARTS = sizeof parts / sizeof *parts };

struct numbers {
    double top[(L + 1) * T * K], logprob[(L + 1) * T * K], target[(L + 1) * T], rank[(L + 1) * T];
    double pattern[L * H * T * T], part[PARTS], ledger[4];
    const char *top_text[(L + 1) * T * K];
};

struct fake {
    struct engine base;
    struct answer *queue[32];
    int n, asked[ASK_COUNT], cancelled;
    char last_text[256];
    int64_t last_pos;
    int last_edits;
    const char *note; /* of the next answers */
    bool has_job, is_busy, is_failing,
        is_dropping; /* the last: as a cancelled question, no answer */
};

static struct field field(const char *name, const char *unit, int rank, const struct axis *axes,
    const double *v, struct arena *a)
{
    struct err e;
    struct field f = {.name = name, .unit = unit, .dtype = DT_F32, .rank = rank};
    struct field_values *values = arena_zalloc(a, sizeof *values, &e);
    memcpy(f.axes, axes, (size_t)rank * sizeof *axes);
    *values = (struct field_values){v, 1};
    field_from_values(&f, values);
    return f;
}

static void fill(struct answer *a, struct err *e)
{
    struct numbers *x = arena_zalloc(&a->arena, sizeof *x, e);
    for (int i = 0; i < (L + 1) * T * K; i++) {
        x->top[i] = 20 + i % K;
        x->logprob[i] = log(0.6 / (1 + i % K));
        x->top_text[i] = best[i % K];
    }
    for (int i = 0; i < (L + 1) * T; i++) {
        x->target[i] = log((i + 1) / 20.0);
        x->rank[i] = i % 3;
    }
    for (int i = 0; i < L * H * T * T; i++)
        x->pattern[i] = i % T > i / T % T ? 0 : 1.0 / (i / T % T + 1);
    for (int i = 0; i < PARTS; i++)
        x->part[i] = (i % 2 ? -1 : 1) * 4.0 / (i + 1);
    x->ledger[0] = 4;
    x->ledger[1] = x->ledger[2] = 4.312;
    x->ledger[3] = 2e-6;
    const struct axis cell[] = {{"layer", AXIS_LAYER, L + 1, layers}, {"pos", AXIS_POS, T, words},
        {"k", AXIS_RANK, K, NULL}};
    const struct axis map[] = {{"layer", AXIS_LAYER, L, layers}, {"head", AXIS_HEAD, H, NULL},
        {"query", AXIS_POS, T, words}, {"key", AXIS_POS, T, words}};
    const struct axis component[] = {{"component", AXIS_COMPONENT, PARTS, parts}};
    const struct axis entry[] = {{"entry", AXIS_OTHER, 4, NULL}};
    a->n = T;
    a->tokens = words;
    a->ids = ids;
    a->target_text = " Tobin";
    a->versus_text = " Mara";
    a->top_text = x->top_text;
    a->top_token = field("top_token", "id", 3, cell, x->top, &a->arena);
    a->top_logprob = field("top_logprob", "nats", 3, cell, x->logprob, &a->arena);
    a->logprob = field("target_logprob", "nats", 2, cell, x->target, &a->arena);
    a->rank = field("target_rank", "rank", 2, cell, x->rank, &a->arena);
    a->entropy = field("entropy", "nats", 2, cell, x->rank, &a->arena);
    a->kl = field("kl_to_final", "nats", 2, cell, x->rank, &a->arena);
    a->pattern = field("pattern", "probability", 4, map, x->pattern, &a->arena);
    a->contribution = field("contribution", "logits", 1, component, x->part, &a->arena);
    a->contribution.is_signed = true;
    a->ledger = field("ledger", "logits", 1, entry, x->ledger, &a->arena);
}

static void fake_ask(struct engine *g, const struct question *q)
{
    struct fake *f = (struct fake *)g;
    struct err e = {0};
    f->asked[q->ask]++;
    f->last_pos = q->pos;
    f->last_edits = q->n_edits;
    snprintf(f->last_text, sizeof f->last_text, "%s", q->text ? q->text : "");
    if (f->is_dropping)
        return;
    struct answer *a = calloc(1, sizeof *a);
    a->ask = q->ask;
    a->serial = q->serial;
    a->under = q->under;
    a->pos = q->pos;
    a->target = q->target >= 0 ? q->target : 21;
    a->versus = 11;
    a->seconds = 0.011;
    a->is_edited = q->n_edits > 0;
    a->facts = (struct facts){.is_open = true,
        .has_bos = true,
        .name = "toy",
        .cfg = {.n_layer = L, .n_head = H, .d_model = 8}};
    if (f->is_failing)
        err_set(&a->e, ERR_LIMIT, "the prompt has 400 tokens, the model takes 256; shorten it");
    else
        fill(a, &e);
    a->note = f->note;
    if (q->ask == ASK_COMMAND)
        a->text = "first line\nsecond line\n";
    if (f->n == 32)
        answer_release(&f->queue[--f->n]);
    f->queue[f->n++] = a;
}

static void fake_cancel(struct engine *g)
{
    ((struct fake *)g)->cancelled++;
}

static struct answer *fake_take(struct engine *g)
{
    struct fake *f = (struct fake *)g;
    if (!f->n)
        return NULL;
    struct answer *a = f->queue[0];
    memmove(f->queue, f->queue + 1, (size_t)--f->n * sizeof *f->queue);
    return a;
}

static void fake_state(const struct engine *g, struct engine_state *out)
{
    const struct fake *f = (const struct fake *)g;
    *out = (struct engine_state){.is_busy = f->is_busy,
        .ask = ASK_PROMPT,
        .has_job = f->has_job,
        .job = {.name = "run heads"}};
}

struct bench {
    struct fake fake;
    struct workbench wb;
    struct canvas c;
};

static inline void bench_open(struct bench *b, int w, int h)
{
    struct err e;
    *b = (struct bench){.fake = {.base = {.ask = fake_ask,
                                     .cancel = fake_cancel,
                                     .take = fake_take,
                                     .state = fake_state,
                                     .wake_fd = -1}}};
    assert_int_equal(workbench_init(&b->wb, &b->fake.base, "When Mara gave", true, &e), 0);
    assert_int_equal(canvas_init(&b->c, w, h, &e), 0);
    b->c.mode = COLOURS_NONE;
    b->c.glyphs = GLYPHS_BLOCK;
    workbench_draw(&b->wb, &b->c);
    workbench_open(&b->wb, "toy");
    for (int i = 0; i < 64 && workbench_poll(&b->wb); i++) {
    }
    workbench_draw(&b->wb, &b->c);
}

static inline void bench_close(struct bench *b)
{
    workbench_release(&b->wb);
    for (int i = 0; i < b->fake.n; i++)
        answer_release(&b->fake.queue[i]);
    canvas_release(&b->c);
}

/* Keys by name, parted by blanks; "'text" types the text, ~ for a blank. */
static inline void keys(struct bench *b, const char *script)
{
    while (*script) {
        size_t n = strcspn(script, " ");
        struct key k = {0};
        if (*script == '\'') {
            for (size_t i = 1; i < n; i++) {
                k = (struct key){.name = {script[i] == '~' ? ' ' : script[i]}};
                k.text[0] = k.name[0];
                workbench_key(&b->wb, &k);
            }
        } else {
            snprintf(k.name, sizeof k.name, "%.*s", (int)n, script);
            k.text[0] = n == 1 ? *script : '\0';
            workbench_key(&b->wb, &k);
        }
        for (int i = 0; i < 64 && workbench_poll(&b->wb); i++) {
        }
        workbench_draw(&b->wb, &b->c);
        script += n;
        script += strspn(script, " ");
    }
}

/* Until what is being written is there. */
static inline void saved(struct bench *b)
{
    for (bool is_busy = true; is_busy;) {
        is_busy = saver_is_busy(&b->wb);
        workbench_poll(&b->wb);
        poll(NULL, 0, is_busy);
    }
    workbench_draw(&b->wb, &b->c);
}

static inline char *screen(const struct bench *b)
{
    struct buf out = {0};
    canvas_write(&out, &b->c, CANVAS_PLAIN);
    return out.data;
}

static inline void shows(const struct bench *b, const char *text)
{
    char *s = screen(b);
    if (!strstr(s, text))
        fail_msg("no \"%s\" on\n%s", text, s);
    free(s);
}

static inline void lacks(const struct bench *b, const char *text)
{
    char *s = screen(b);
    if (strstr(s, text))
        fail_msg("\"%s\" on\n%s", text, s);
    free(s);
}

#endif
