#include "analysis/report/report.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/report/inside.h"
#include "model/core/text.h"

void report_lock(const struct report *r, bool to_write)
{
    pthread_rwlock_t *lock = (pthread_rwlock_t *)&r->lock;
    if (to_write)
        pthread_rwlock_wrlock(lock);
    else
        pthread_rwlock_rdlock(lock);
}

int report_unlock(const struct report *r, int rc)
{
    pthread_rwlock_unlock((pthread_rwlock_t *)&r->lock);
    return rc;
}

int report_grow(void *array, int n, int *cap, size_t size, struct err *e)
{
    if (n < *cap)
        return 0;
    int want = *cap ? *cap * 2 : 8;
    void *old, *more = NULL;
    memcpy(&old, array, sizeof old);
    if (want > *cap)
        more = realloc(old, (size_t)want * size);
    if (!more)
        return err_set(e, ERR_LIMIT, "out of memory (%d entries of a report)", want);
    memcpy(array, &more, sizeof more);
    *cap = want;
    return 0;
}

/* ---- words: tokens and labels are kept once ---- */

static uint64_t hash_bytes(uint64_t h, const void *data, size_t n)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

static const char **word_slot(const char **words, int64_t cap, const char *s)
{
    uint64_t i = hash_bytes(0xcbf29ce484222325u, s, strlen(s));
    i ^= i >> 29;
    while (words[i & (uint64_t)(cap - 1)] && strcmp(words[i & (uint64_t)(cap - 1)], s))
        i++;
    return &words[i & (uint64_t)(cap - 1)];
}

static int words_grow(struct report *r, struct err *e)
{
    int64_t cap = r->cap_words ? r->cap_words * 2 : 256;
    const char **words = calloc((size_t)cap, sizeof *words);
    if (!words)
        return err_set(e, ERR_LIMIT, "out of memory (%" PRId64 " labels)", cap);
    for (int64_t i = 0; i < r->cap_words; i++)
        if (r->words[i])
            *word_slot(words, cap, r->words[i]) = r->words[i];
    free(r->words);
    r->words = words;
    r->cap_words = cap;
    return 0;
}

/* A copy that is valid UTF-8 whatever came in: a stray byte becomes \xNN. */
const char *report_text(struct arena *a, const char *s, struct err *e)
{
    if (!s)
        s = "";
    size_t n = strlen(s);
    if (utf8_valid_prefix(s, n) == n)
        return arena_strndup(a, s, n, e);
    char *out = arena_array(a, n + 1, 4, e), *o = out;
    for (size_t i = 0; out && i < n;) {
        uint32_t cp;
        int step = utf8_next(&cp, s + i, n - i);
        if (step > 0)
            o += utf8_put(o, cp);
        for (int k = 0; k < -step; k++)
            o += snprintf(o, 5, "\\x%02x", (unsigned char)s[i + (size_t)k]);
        i += (size_t)(step < 0 ? -step : step);
    }
    if (out)
        *o = '\0';
    return out;
}

static const char *copy_text(struct report *r, const char *s, struct err *e)
{
    return report_text(&r->arena, s, e);
}

const char *report_word(struct report *r, const char *s, struct err *e)
{
    if (r->n_words * 2 >= r->cap_words && words_grow(r, e))
        return NULL;
    struct arena_mark mark = arena_mark(&r->arena);
    const char *copy = copy_text(r, s, e);
    if (!copy)
        return NULL;
    const char **slot = word_slot(r->words, r->cap_words, copy);
    if (*slot) {
        arena_rewind(&r->arena, mark);
        return *slot;
    }
    r->n_words++;
    return *slot = copy;
}

int report_labels(
    const char *const **out, struct report *r, const char *const *labels, int64_t n, struct err *e)
{
    const char **copy = n <= 0 ? NULL : calloc((size_t)n, sizeof *copy);
    *out = NULL;
    if (!labels || n <= 0)
        return free(copy), 0;
    if (!copy)
        return err_set(e, ERR_LIMIT, "out of memory (%" PRId64 " labels)", n);
    uint64_t hash = 0xcbf29ce484222325u;
    for (int64_t i = 0; i < n; i++) {
        if (!(copy[i] = report_word(r, labels[i] ? labels[i] : "", e)))
            return free(copy), ERR_LIMIT;
        hash = hash_bytes(hash, &copy[i], sizeof copy[i]);
    }
    for (int k = r->n_lists - 1; k >= 0; k--)
        if (r->lists[k].hash == hash && r->lists[k].n == n &&
            !memcmp(r->lists[k].labels, copy, (size_t)n * sizeof *copy)) {
            *out = r->lists[k].labels;
            return free(copy), 0;
        }
    const char **kept = arena_array(&r->arena, (size_t)n, sizeof *kept, e);
    if (!kept || report_grow(&r->lists, r->n_lists, &r->cap_lists, sizeof *r->lists, e))
        return free(copy), ERR_LIMIT;
    memcpy(kept, copy, (size_t)n * sizeof *kept);
    r->lists[r->n_lists++] = (struct label_list){hash, n, kept};
    *out = kept;
    return free(copy), 0;
}

/* ---- the document ---- */

int report_new(struct report **out, const char *path, struct err *e)
{
    struct report *r = calloc(1, sizeof *r);
    *out = NULL;
    if (!r)
        return err_set(e, ERR_LIMIT, "out of memory (a report)");
    pthread_rwlock_init(&r->lock, NULL);
    r->info = (struct report_info){"", "", SONDE_VERSION, 0};
    if (path && !(r->path = arena_strdup(&r->arena, path, e)))
        return report_free(r), ERR_LIMIT;
    *out = r;
    return 0;
}

static void run_free(struct run *run)
{
    for (int i = 0; i < run->n_blocks; i++) {
        struct block *b = run->blocks[i];
        file_block_free(b);
        free(b->data);
        free(b->cells);
    }
    file_run_free(run);
    arena_release(&run->passing);
    free(run->blocks);
    free(run->attrs);
}

void report_free(struct report *r)
{
    if (!r)
        return;
    for (int i = 0; i < r->n_runs; i++)
        run_free(r->runs[i]);
    free(r->runs);
    free(r->inputs);
    free(r->words);
    free(r->lists);
    pthread_rwlock_destroy(&r->lock);
    arena_release(&r->arena);
    free(r);
}

int report_create(struct report **out, const char *path, struct err *e)
{
    struct report *r;
    int rc = report_new(&r, path, e);
    *out = NULL;
    if (!rc && path && (rc = file_create(r, e)))
        report_free(r);
    if (!rc)
        *out = r;
    return rc;
}

static int open_report(struct report **out, const char *path, bool trusted, struct err *e)
{
    struct report *r;
    int rc = report_new(&r, path, e);
    *out = NULL;
    if (rc)
        return rc;
    r->readonly = true;
    r->trusted = trusted;
    if ((rc = file_open(r, e))) {
        file_abandon(r);
        report_free(r);
        return rc;
    }
    *out = r;
    return 0;
}

int report_open(struct report **out, const char *path, struct err *e)
{
    return open_report(out, path, false, e);
}

int report_open_trusted(struct report **out, const char *path, struct err *e)
{
    return open_report(out, path, true, e);
}

bool report_is_foreign(const struct report *r)
{
    return r->foreign;
}

int report_close(struct report **r, struct err *e)
{
    struct report *it = *r;
    int rc = 0;
    *r = NULL;
    if (it && it->file)
        rc = file_close(it, e);
    report_free(it);
    return rc;
}

int report_flush(struct report *r, struct err *e)
{
    if (!r->file || r->readonly)
        return 0;
    report_lock(r, true);
    return report_unlock(r, file_flush(r, e));
}

void report_only_drawn(struct report *r, int most)
{
    report_lock(r, true);
    r->drawn = most;
    report_unlock(r, 0);
}

int report_keeps(const struct report *r)
{
    return r->path ? 0 : r->drawn ? r->drawn : INT_MAX;
}

size_t report_memory(const struct report *r)
{
    report_lock(r, false);
    size_t bytes = r->arena.used + r->values;
    report_unlock(r, 0);
    return bytes;
}

void report_set_limit(struct report *r, size_t bytes)
{
    report_lock(r, true);
    r->limit = bytes;
    report_unlock(r, 0);
}

void report_abandon(struct report **r)
{
    struct report *it = *r;
    *r = NULL;
    if (it && it->file)
        file_abandon(it);
    report_free(it);
}

int report_refuse_readonly(const struct report *r, struct err *e)
{
    return r->readonly ? err_set(e, ERR_USAGE, "%s is open for reading only", r->path) : 0;
}

int report_put_info(struct report *r, const struct report_info *info, struct err *e)
{
    struct report_info own = {copy_text(r, info->command, e), copy_text(r, info->kernel_set, e),
        copy_text(r, info->tool_version ? info->tool_version : SONDE_VERSION, e), info->threads};
    if (!own.command || !own.kernel_set || !own.tool_version)
        return ERR_LIMIT;
    r->info = own;
    return 0;
}

int report_describe(struct report *r, const struct report_info *info, struct err *e)
{
    int rc = report_refuse_readonly(r, e);
    if (rc)
        return rc;
    report_lock(r, true);
    rc = report_put_info(r, info, e);
    if (!rc && r->file)
        rc = file_describe(r, e);
    return report_unlock(r, rc);
}

const struct report_info *report_about(const struct report *r)
{
    return &r->info;
}

/* ---- inputs ---- */

int report_put_input(struct report *r, const struct report_input *in, struct err *e)
{
    int rc = report_grow(&r->inputs, r->n_inputs, &r->cap_inputs, sizeof *r->inputs, e);
    if (rc)
        return rc;
    struct report_input own = {.n = in->n};
    if (r->drawn && r->n_inputs >= r->drawn) {
        r->inputs[r->n_inputs++] = own;
        return 0;
    }
    size_t n = in->n > 0 ? (size_t)in->n : 0;
    int32_t *tokens = arena_array(&r->arena, n, sizeof *tokens, e);
    if (!tokens || !(own.text = copy_text(r, in->text, e)))
        return ERR_LIMIT;
    if (n)
        memcpy(tokens, in->tokens, n * sizeof *tokens);
    own.tokens = tokens;
    if (n && in->token_str && (rc = report_labels(&own.token_str, r, in->token_str, in->n, e)))
        return rc;
    r->inputs[r->n_inputs++] = own;
    return 0;
}

int report_add_input(int *index, struct report *r, const struct report_input *in, struct err *e)
{
    int rc = report_refuse_readonly(r, e);
    if (rc)
        return rc;
    report_lock(r, true);
    rc = r->file ? file_add_input(r, in, e) : report_put_input(r, in, e);
    if (!rc)
        *index = r->n_inputs - 1;
    return report_unlock(r, rc);
}

int report_inputs(const struct report *r)
{
    report_lock(r, false);
    return report_unlock(r, r->n_inputs);
}

int report_input(struct report_input *out, const struct report *r, int index, struct err *e)
{
    int rc = 0;
    struct report *own = (struct report *)r;
    const bool is_written = r->file && !r->readonly; /* and may have to be read back */
    report_lock(r, is_written);
    if (index < 0 || index >= r->n_inputs)
        rc = err_set(e, ERR_USAGE, "no input %d: the report has %d", index, r->n_inputs);
    else if (is_written && !(rc = file_load_input(own, index, true, e)))
        rc = file_load_input(own, index, false, e);
    if (!rc)
        *out = r->inputs[index];
    return report_unlock(r, rc);
}

/* ---- runs and their attributes ---- */

int report_new_run(
    struct run **out, struct report *r, const char *name, const char *analysis, struct err *e)
{
    struct run *run = arena_zalloc(&r->arena, sizeof *run, e);
    if (!run || report_grow(&r->runs, r->n_runs, &r->cap_runs, sizeof *r->runs, e) ||
        !(run->name = copy_text(r, name, e)) || !(run->analysis = copy_text(r, analysis, e)))
        return ERR_LIMIT;
    run->report = r;
    run->first_input = run->passing_input = run->met_input = -1;
    r->runs[r->n_runs++] = run;
    *out = run;
    return 0;
}

static const struct attr *attr_find(const struct run *run, const char *name)
{
    for (int i = 0; i < run->n_attrs; i++)
        if (!strcmp(run->attrs[i].name, name))
            return &run->attrs[i];
    return NULL;
}

int run_put_attr(struct run *run, const struct attr *a, struct err *e)
{
    struct report *r = run->report;
    struct attr own = *a;
    if (!(own.name = report_word(r, a->name, e)) || !(own.text = copy_text(r, a->text, e)))
        return ERR_LIMIT;
    if (a->n_list) {
        int64_t *list = arena_array(&r->arena, (size_t)a->n_list, sizeof *list, e);
        if (!list)
            return ERR_LIMIT;
        memcpy(list, a->list, (size_t)a->n_list * sizeof *list);
        own.list = list;
    }
    struct attr *old = (struct attr *)attr_find(run, own.name);
    if (old) {
        *old = own;
        return 0;
    }
    int rc = report_grow(&run->attrs, run->n_attrs, &run->cap_attrs, sizeof *run->attrs, e);
    if (!rc)
        run->attrs[run->n_attrs++] = own;
    return rc;
}

static int attr_write(struct run *run, const struct attr *a, struct err *e)
{
    int rc = run_put_attr(run, a, e);
    if (!rc && run->report->file)
        rc = file_put_attr(run, attr_find(run, a->name), e);
    return rc;
}

static int attr_set(struct run *run, const struct attr *a, struct err *e)
{
    int rc = report_refuse_readonly(run->report, e);
    if (rc)
        return rc;
    report_lock(run->report, true);
    return report_unlock(run->report, attr_write(run, a, e));
}

int run_attr_text(struct run *run, const char *name, const char *value, struct err *e)
{
    struct attr a = {.name = name, .kind = ATTR_TEXT, .text = value};
    return attr_set(run, &a, e);
}

int run_attr_int(struct run *run, const char *name, int64_t value, struct err *e)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    struct attr a = {.name = name, .kind = ATTR_INT, .text = text, .i = value, .f = (double)value};
    return attr_set(run, &a, e);
}

int run_attr_float(struct run *run, const char *name, double value, struct err *e)
{
    char text[40];
    exact_number(text, sizeof text, value, DT_F64);
    struct attr a = {.name = name, .kind = ATTR_FLOAT, .text = text, .f = value};
    return attr_set(run, &a, e);
}

static struct attr range_attr(int64_t list[2], char *text, size_t n)
{
    snprintf(text, n, "%" PRId64 ",%" PRId64, list[0], list[1]);
    return (struct attr){
        .name = "inputs", .kind = ATTR_INTS, .text = text, .list = list, .n_list = 2};
}

int run_inputs(struct run *run, int begin, int end, struct err *e)
{
    int64_t list[2] = {begin, end};
    char text[64];
    struct attr a = range_attr(list, text, sizeof text);
    int rc = attr_set(run, &a, e);
    run->ranged = run->ranged || !rc;
    return rc;
}

int report_begin_run(struct run **out, struct report *r, const char *analysis, struct err *e)
{
    char name[80];
    struct run *run;
    int rc = report_refuse_readonly(r, e);
    *out = NULL;
    if (rc)
        return rc;
    if (!*analysis || strlen(analysis) > 60 || strchr(analysis, '/'))
        return err_set(e, ERR_USAGE, "\"%.60s\" cannot name a run", analysis);
    report_lock(r, true);
    snprintf(name, sizeof name, "%03d-%s", r->n_runs, analysis);
    rc = report_new_run(&run, r, name, analysis, e);
    if (!rc && r->file)
        rc = file_begin_run(run, e);
    const struct attr first[] = {{.name = "analysis", .text = analysis},
        {.name = "status", .text = "running"}, {.name = "message", .text = ""}};
    for (size_t i = 0; i < sizeof first / sizeof *first && !rc; i++)
        rc = attr_write(run, &first[i], e);
    if (!rc)
        *out = run;
    return report_unlock(r, rc);
}

int run_end(struct run *run, const char *status, const char *message, struct err *e)
{
    struct report *r = run->report;
    int rc = report_refuse_readonly(r, e);
    if (rc)
        return rc;
    report_lock(r, true);
    int64_t list[2] = {0, r->n_inputs};
    char text[64];
    if (run->first_input >= 0) {
        list[0] = run->first_input;
        list[1] = run->last_input + 1;
    }
    struct attr a = range_attr(list, text, sizeof text);
    if (!run->ranged)
        rc = attr_write(run, &a, e);
    const struct attr last[] = {
        {.name = "status", .text = status}, {.name = "message", .text = message ? message : ""}};
    for (size_t i = 0; i < sizeof last / sizeof *last && !rc; i++)
        rc = attr_write(run, &last[i], e);
    if (!rc && r->file)
        rc = file_end_run(run, e);
    run->ended = true;
    return report_unlock(r, rc);
}

int report_runs(const struct report *r)
{
    report_lock(r, false);
    return report_unlock(r, r->n_runs);
}

struct run *report_run(const struct report *r, int index)
{
    report_lock(r, false);
    struct run *run = index >= 0 && index < r->n_runs ? r->runs[index] : NULL;
    report_unlock(r, 0);
    return run;
}

const char *run_name(const struct run *run)
{
    return run->name;
}

const char *run_analysis(const struct run *run)
{
    return run->analysis;
}

const char *run_attr(const struct run *run, const char *name)
{
    report_lock(run->report, false);
    const struct attr *a = attr_find(run, name);
    const char *text = a ? a->text : NULL;
    report_unlock(run->report, 0);
    return text;
}

int run_attrs(const struct run *run)
{
    report_lock(run->report, false);
    return report_unlock(run->report, run->n_attrs);
}

const char *run_attr_at(const char **name, const struct run *run, int index)
{
    const char *text = NULL;
    report_lock(run->report, false);
    if (index >= 0 && index < run->n_attrs) {
        *name = run->attrs[index].name;
        text = run->attrs[index].text;
    }
    report_unlock(run->report, 0);
    return text;
}
