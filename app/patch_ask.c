#include "app/patch_ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analysis/pairs.h"
#include "analysis/token.h"
#include "app/words.h"
#include "model/core/text.h"
#include "model/edit_from.h"

/* Two prompts as the model sees them: tokens, answers, and the metric of each. */

#define NTH_MAX 1000000

/* "ioi_tiny:3", "pairs.jsonl:3": the third; false: there is no number. */
static bool split_nth(char *name, size_t size, long *nth, const char *text)
{
    const char *colon = strrchr(text, ':');
    char *end;
    if (!colon || colon == text || (size_t)(colon - text) >= size)
        return false;
    *nth = strtol(colon + 1, &end, 10);
    snprintf(name, size, "%.*s", (int)(colon - text), text);
    return end != colon + 1 && !*end;
}

/* "NAME:N" of a dataset or a file; NAME alone: its first. */
static int nth_pair(struct pairs *p, const char *text, const struct pairs_opts *o, struct err *e)
{
    char name[4096];
    long nth = 1;
    const bool has_number = split_nth(name, sizeof name, &nth, text);
    if (!has_number)
        snprintf(name, sizeof name, "%s", text);
    if (nth < 1)
        return err_set(e, ERR_USAGE, "%.80s: pairs are counted from 1, as in %.60s:1", text, name);
    const bool is_file = strchr(name, '.') || strchr(name, '/') || !access(name, R_OK);
    if (nth > NTH_MAX || (!is_file && strchr(name, ' ')))
        return err_set(e, ERR_USAGE,
            "\"%.80s\" is no pair; give CLEAN and CORRUPT, each in quotes, or a dataset or a file "
            "and "
            "the number of the pair in it, as in ioi_tiny:1",
            text);
    char counted[sizeof name + 24];
    snprintf(counted, sizeof counted, "%s:%ld", name, nth);
    int rc = is_file ? pairs_file(p, name, o, e) : pairs_dataset(p, counted, o, e);
    if (!rc && nth > p->n)
        rc = err_set(e, ERR_USAGE, "%s has %d pair%s, not %ld", name, p->n, text_s(p->n), nth);
    if (rc)
        return rc;
    p->list[0] = p->list[nth - 1];
    memmove(p->inputs, p->inputs + 2 * (nth - 1), 2 * sizeof *p->inputs);
    p->n = 1;
    return 0;
}

static int load(struct pairs *p, const char *text, const struct pairs_opts *o, struct err *e)
{
    char **words;
    int n, rc = words_split(&words, &n, text, o->arena, e);
    if (rc)
        return rc;
    if (n && !strncmp(words[0], "--", 2))
        return err_set(e, ERR_USAGE,
            "a pair takes no flags, %.40s is one of run's: :pair ioi_tiny:3 is a dataset's third, "
            ":pair 'CLEAN' 'CORRUPT' ' ANSWER' ' WRONG' your own",
            words[0]);
    if (n == 1)
        return nth_pair(p, words[0], o, e);
    if (n < 2 || n > 4)
        return err_set(e, ERR_USAGE,
            "a pair is CLEAN CORRUPT ANSWER WRONG, each in quotes; the answers may be left out");
    const char *answer = n > 2 ? words[2] : NULL, *wrong = n > 3 ? words[3] : NULL;
    const struct pair_text t = {.clean = words[0],
        .corrupt = words[1],
        .where = "the pair",
        .answer = &answer,
        .wrong = &wrong,
        .n_answer = answer != NULL,
        .n_wrong = wrong != NULL};
    return pairs_text(p, &t, o, e);
}

/* Both prompts in one pass, with every row of logits. */
static int run_both(struct trace *t, struct answer *a, const struct pair *p,
    const struct question *q, const struct pair_means *means, struct err *e)
{
    const int64_t offset[3] = {0, p->clean->n, p->clean->n + p->corrupt->n};
    int32_t *tokens = arena_array(&a->arena, (size_t)offset[2], sizeof *tokens, e);
    struct plan plan = {0};
    struct edits typed, resolved;
    if (!tokens || plan_init(&plan, &a->model->cfg, &a->arena, e))
        return e->code;
    memcpy(tokens, p->clean->tokens, (size_t)p->clean->n * sizeof *tokens);
    memcpy(tokens + p->clean->n, p->corrupt->tokens, (size_t)p->corrupt->n * sizeof *tokens);
    plan.logits = LOGITS_ALL;
    struct batch b = {tokens, offset, 2}, reference = b;
    struct forward_opts o = {.pool = means->pool,
        .progress = means->progress,
        .progress_arg = means->progress_arg,
        .max_bytes = means->max_bytes};
    if (edits_from_texts(&typed, &reference, means->edits, a->model, q->bos, &a->arena, e) ||
        edits_resolve(&resolved, &typed, a->model->params, &reference, &o, &a->arena, e))
        return e->code;
    o.edits = &resolved;
    o.is_part = true;
    o.plan = &plan;
    return forward(t, a->model->params, &b, &o, e);
}

static int64_t best(const float *logits, int64_t vocab, int64_t but)
{
    int64_t at = but == 0;
    for (int64_t v = at + 1; v < vocab; v++)
        if (v != but && logits[v] > logits[at])
            at = v;
    return at;
}

/* The answers that were left out: what the model says to either prompt. */
static int fill_answers(struct pair *p, struct answer *a, const struct trace *t, struct err *e)
{
    int32_t *ids = arena_array(&a->arena, 2, sizeof *ids, e);
    const int64_t vocab = a->model->cfg.vocab;
    if (!ids)
        return e->code;
    if (!p->n_answer) {
        ids[0] = (int32_t)best(trace_logits(t, 0, p->clean->n - 1), vocab, -1);
        p->answer = ids;
        p->n_answer = 1;
    }
    if (!p->n_wrong) {
        ids[1] = (int32_t)best(trace_logits(t, 1, p->corrupt->n - 1), vocab, p->answer[0]);
        p->wrong = ids + 1;
        p->n_wrong = 1;
    }
    return 0;
}

static int measure(struct paired *out, struct answer *a, const struct pair *p,
    const struct trace *t, const char *metric, struct err *e)
{
    struct metric_at at[2];
    struct metric m = {.at = at, .n_at = 2};
    const int64_t vocab = a->model->cfg.vocab;
    double mean;
    float *logp = arena_array(&a->arena, (size_t)vocab, sizeof *logp, e);
    if (!logp || metric_parse(&m.kind, metric, e))
        return e->code;
    ops_log_softmax(logp, trace_logits(t, 0, p->clean->n - 1), vocab);
    for (int i = 0; i < 2; i++)
        at[i] = (struct metric_at){.input = i,
            .pos = (i ? p->corrupt->n : p->clean->n) - 1,
            .answer = p->answer,
            .wrong = p->wrong,
            .n_answer = p->n_answer,
            .n_wrong = p->n_wrong,
            .reference_logp = logp};
    return metric_value(&mean, out->metric, &m, t, e);
}

/* --- As words ---------------------------------------------------------------------------------- */

/* A token as a literal text where that is the same token again, else #ID. */
static const char *token_word(const struct model *m, int32_t id, struct arena *a, struct err *e)
{
    const struct ctx ctx = {.model = m};
    const char *text = token_text(m, id, a, e);
    int64_t again;
    struct err quiet;
    if (!text)
        return NULL;
    if (*text != '#' && !ctx_token(&again, &ctx, text, &quiet) && again == id)
        return text;
    return arena_printf(a, e, "#%d", (int)id);
}

static const char *add_flag(
    const char *line, const char *flag, const char *value, struct arena *a, struct err *e)
{
    const char *q = value ? words_quote(value, a, e) : NULL;
    return line && q ? arena_printf(a, e, "%s%s--%s %s", line, *line ? " " : "", flag, q) : NULL;
}

static const char *prompt_word(const struct input *in, struct arena *a, struct err *e)
{
    if (in->text)
        return in->text;
    const char *line = "[";
    for (int64_t i = 0; i < in->n && line; i++)
        line = arena_printf(a, e, "%s%s%d", line, i ? ", " : "", (int)in->tokens[i]);
    return line ? arena_printf(a, e, "%s]", line) : NULL;
}

static const char *name_answers(
    const struct model *m, const int32_t *ids, int n, struct arena *a, struct err *e)
{
    const char *first = n ? token_text(m, ids[0], a, e) : "";
    return !first || n < 2 ? first : arena_printf(a, e, "%s (+%d)", first, n - 1);
}

static int name_all(struct paired *out, struct answer *a, const struct pair *p, struct err *e)
{
    const struct model *m = a->model;
    const char *line = add_flag("", "clean", prompt_word(p->clean, &a->arena, e), &a->arena, e);
    line = add_flag(line, "corrupt", prompt_word(p->corrupt, &a->arena, e), &a->arena, e);
    for (int i = 0; i < p->n_answer; i++)
        line = add_flag(line, "answer", token_word(m, p->answer[i], &a->arena, e), &a->arena, e);
    for (int i = 0; i < p->n_wrong; i++)
        line = add_flag(line, "wrong", token_word(m, p->wrong[i], &a->arena, e), &a->arena, e);
    out->flags = line;
    out->answer_id = p->n_answer ? p->answer[0] : -1;
    out->wrong_id = p->n_wrong ? p->wrong[0] : -1;
    out->answer = name_answers(m, p->answer, p->n_answer, &a->arena, e);
    out->wrong = name_answers(m, p->wrong, p->n_wrong, &a->arena, e);
    for (int i = 0; i < 2; i++) {
        const struct input *in = i ? p->corrupt : p->clean;
        const char **tokens = arena_array(&a->arena, (size_t)in->n, sizeof *tokens, e);
        for (int64_t t = 0; tokens && t < in->n; t++)
            if (!(tokens[t] = !t && m->bos_id >= 0 && in->tokens[t] == m->bos_id
                                  ? "BOS"
                                  : token_text(m, in->tokens[t], &a->arena, e)))
                return e->code;
        out->tokens[i] = tokens;
        out->n[i] = in->n;
        out->ids[i] = in->tokens;
        out->text[i] = in->text;
    }
    const bool is_named = line && out->answer && out->wrong && out->tokens[0] && out->tokens[1];
    return is_named ? 0 : ERR_LIMIT;
}

int patch_pair_ask(
    struct answer *a, const struct question *q, const struct pair_means *means, struct err *e)
{
    const struct pairs_opts o = {
        .model = a->model, .bos = q->bos, .seed = means->seed, .arena = &a->arena};
    struct paired *out = arena_zalloc(&a->arena, sizeof *out, e);
    struct pairs pairs = {0};
    struct trace t = {0};
    const char *metric = *q->of ? q->of : "logit_diff";
    if (!out || !(out->metric_name = arena_strdup(&a->arena, metric, e)) ||
        load(&pairs, q->text, &o, e))
        return e->code;
    char note[512];
    pairs_finish(&pairs);
    struct pair *p = &pairs.list[0];
    if (pairs_check(note, sizeof note, &pairs, true, e))
        return e->code;
    int rc = run_both(&t, a, p, q, means, e);
    if (!rc)
        rc = fill_answers(p, a, &t, e);
    if (!rc)
        rc = measure(out, a, p, &t, metric, e);
    if (!rc)
        rc = name_all(out, a, p, e);
    trace_release(&t);
    out->align = p->align;
    out->n_align = p->n_align;
    a->pair = out;
    return rc;
}
