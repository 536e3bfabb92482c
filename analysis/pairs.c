#include "analysis/pairs.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/token.h"
#include "model/core/json.h"
#include "model/core/stream.h"

#define LINE_MAX_BYTES ((size_t)1 << 26)
#define PAIRS_MAX 10000000

/* ---- prompts and answers as ids ---- */

static int check_prompt(const struct input *in, const char *where, const char *what,
    const struct model *m, struct err *e)
{
    if (!in->n)
        return err_set(e, ERR_USAGE, "%s: %s has no tokens", where, what);
    if (in->n > m->cfg.n_ctx)
        return err_set(e, ERR_USAGE, "%s: %s has %lld tokens, but the context of %s is %d", where,
            what, (long long)in->n, m->name, m->cfg.n_ctx);
    for (int64_t i = 0; i < in->n; i++)
        if (in->tokens[i] < 0 || in->tokens[i] >= m->cfg.vocab)
            return err_set(e, ERR_USAGE, "%s: %s: the id %d is outside the vocabulary 0..%lld",
                where, what, in->tokens[i], (long long)m->cfg.vocab - 1);
    return 0;
}

/* A thousand pairs are many small lists: they lie close together. */
static int32_t *ids_of(struct arena *a, int64_t n, struct err *e)
{
    return arena_small(a, (size_t)n * sizeof(int32_t), e);
}

static int encode(struct input *out, const char *text, size_t n, const char *where,
    const struct pairs_opts *o, struct err *e)
{
    const struct model *m = o->model;
    struct arena tmp = {0};
    struct encoding enc;
    if (!m->tokenizer)
        return err_set(e, ERR_INPUT,
            "%s: %s has no tokenizer files, so text cannot be read; give lists of ids", where,
            m->name);
    int rc = tokenizer_encode(&enc, m->tokenizer, text, n, ENCODE_SPECIAL, &tmp, e);
    const int64_t bos = o->bos && m->bos_id >= 0;
    int32_t *ids = rc ? NULL : ids_of(o->arena, enc.n + bos, e);
    if (ids) {
        if (bos)
            ids[0] = (int32_t)m->bos_id;
        if (enc.n)
            memcpy(ids + bos, enc.ids, (size_t)enc.n * sizeof *ids);
        out->text = arena_strndup(o->arena, text, n, e);
        out->tokens = ids;
        out->n = enc.n + bos;
    }
    arena_release(&tmp);
    return rc ? rc : out->text ? 0 : ERR_LIMIT;
}

static int32_t *json_ids(const struct js *list, const char *where, const char *what,
    const struct pairs_opts *o, struct err *e)
{
    size_t n = js_count(list);
    int32_t *ids = ids_of(o->arena, (int64_t)n, e);
    for (size_t i = 0; ids && i < n; i++) {
        int64_t id;
        if (!js_int(&id, js_at(list, i)) || id < 0 || id > INT32_MAX) {
            err_set(e, ERR_INPUT, "%s: %s[%zu] is not a token id", where, what, i);
            return NULL;
        }
        ids[i] = (int32_t)id;
    }
    return ids;
}

static int json_prompt(struct input *out, const struct js *v, const char *where, const char *what,
    const struct pairs_opts *o, struct err *e)
{
    size_t n;
    const char *text = js_string(v, &n);
    if (text) {
        if (encode(out, text, n, where, o, e))
            return e->code;
    } else if (js_kind(v) == JS_ARRAY) {
        out->tokens = json_ids(v, where, what, o, e);
        out->n = (int64_t)js_count(v);
        if (!out->tokens)
            return e->code;
    } else if (js_kind(v) == JS_ABSENT) {
        return err_set(e, ERR_INPUT,
            "%s: %s is missing; a pair is {\"clean\": .., \"corrupt\": .., \"answer\": .., "
            "\"wrong_answer\": ..}",
            where, what);
    } else {
        return err_set(e, ERR_INPUT, "%s: %s must be a text or a list of token ids", where, what);
    }
    return check_prompt(out, where, what, o->model, e);
}

/* A prompt on the command line: ids where it is a JSON list, else text. */
static int text_prompt(struct input *out, const char *text, const char *where, const char *what,
    const struct pairs_opts *o, struct err *e)
{
    struct js *j = NULL;
    struct err quiet;
    if (*text == '[' && !js_parse(&j, text, strlen(text), 0, what, &quiet)) {
        int rc = json_prompt(out, j, where, what, o, e);
        js_release(&j);
        return rc;
    }
    if (encode(out, text, strlen(text), where, o, e))
        return e->code;
    return check_prompt(out, where, what, o->model, e);
}

static int one_token(int32_t *out, const char *text, const char *where, const char *what,
    const struct model *m, struct err *e)
{
    const struct ctx ctx = {.model = m};
    int64_t id;
    if (ctx_token(&id, &ctx, text, e))
        return err_prefix(e, "%s: %s", where, what);
    *out = (int32_t)id;
    return 0;
}

static int texts_tokens(const int32_t **out, const char *const *texts, int n, const char *where,
    const char *what, const struct pairs_opts *o, struct err *e)
{
    int32_t *ids = ids_of(o->arena, n, e);
    if (!ids)
        return ERR_LIMIT;
    for (int i = 0; i < n; i++)
        if (one_token(&ids[i], texts[i], where, what, o->model, e))
            return e->code;
    *out = ids;
    return 0;
}

/* A text, an id, or a list of these. */
static int json_answers(const int32_t **out, int *n_out, const struct js *v, const char *where,
    const char *what, const struct pairs_opts *o, struct err *e)
{
    const bool is_list = js_kind(v) == JS_ARRAY;
    size_t n = is_list ? js_count(v) : js_kind(v) != JS_ABSENT && js_kind(v) != JS_NULL;
    int32_t *ids = ids_of(o->arena, (int64_t)n, e);
    if (!ids)
        return ERR_LIMIT;
    for (size_t i = 0; i < n; i++) {
        const struct js *one = is_list ? js_at(v, i) : v;
        const char *text = js_string(one, NULL);
        int64_t id;
        if (text) {
            if (one_token(&ids[i], text, where, what, o->model, e))
                return e->code;
        } else if (js_int(&id, one) && id >= 0 && id < o->model->cfg.vocab) {
            ids[i] = (int32_t)id;
        } else {
            return err_set(
                e, ERR_INPUT, "%s: %s must be a text of one token, an id, or a list", where, what);
        }
    }
    *out = ids;
    *n_out = (int)n;
    return 0;
}

/* ---- the list ---- */

static int grow(struct pairs *p, int room, struct arena *arena, struct err *e)
{
    if (p->n >= PAIRS_MAX)
        return err_set(e, ERR_LIMIT, "more than %d pairs; split the file", PAIRS_MAX);
    struct pair *list = arena_array(arena, (size_t)room, sizeof *list, e);
    struct input *inputs = arena_array(arena, 2 * (size_t)room, sizeof *inputs, e);
    if (!list || !inputs)
        return ERR_LIMIT;
    if (p->n) {
        memcpy(list, p->list, (size_t)p->n * sizeof *list);
        memcpy(inputs, p->inputs, 2 * (size_t)p->n * sizeof *inputs);
    }
    p->list = list;
    p->inputs = inputs;
    p->room = room;
    return 0;
}

static int add(struct pair **out, struct input **in, struct pairs *p, const char *where,
    const struct pairs_opts *o, struct err *e)
{
    /* In large steps: what is not touched costs nothing, what was outgrown stays. */
    if (p->n == p->room && grow(p, p->room ? 8 * p->room : 16, o->arena, e))
        return e->code;
    *out = &p->list[p->n];
    *in = &p->inputs[2 * p->n];
    **out = (struct pair){.where = arena_strdup(o->arena, where, e)};
    memset(*in, 0, 2 * sizeof **in);
    p->n++;
    return (*out)->where ? 0 : ERR_LIMIT;
}

void pairs_finish(struct pairs *p)
{
    for (int i = 0; i < p->n; i++) {
        struct input *in = &p->inputs[2 * i];
        p->list[i].clean = &in[0];
        p->list[i].corrupt = &in[1];
        in[0].index = 2 * i;
        in[1].index = 2 * i + 1;
    }
}

static bool is_same_prompt(const struct input *in)
{
    return in[0].n == in[1].n &&
           !memcmp(in[0].tokens, in[1].tokens, (size_t)in[0].n * sizeof *in[0].tokens);
}

static bool has_all(const int32_t *list, int n, const int32_t *of, int n_of)
{
    for (int i = 0; i < n_of; i++) {
        int k = 0;
        while (k < n && list[k] != of[i])
            k++;
        if (k == n)
            return false;
    }
    return true;
}

static bool is_same_answer(const struct pair *p)
{
    return p->n_answer && p->n_wrong && has_all(p->answer, p->n_answer, p->wrong, p->n_wrong) &&
           has_all(p->wrong, p->n_wrong, p->answer, p->n_answer);
}

int pairs_check(char *note, size_t n, const struct pairs *p, bool needs_both, struct err *e)
{
    int prompts = 0, answers = 0;
    const struct pair *prompt = NULL, *answer = NULL;
    *note = '\0';
    for (int i = p->n - 1; i >= 0; i--) {
        const bool same_prompt = needs_both && is_same_prompt(&p->inputs[2 * i]);
        const bool same_answer = is_same_answer(&p->list[i]);
        prompts += same_prompt;
        answers += same_answer;
        prompt = same_prompt ? &p->list[i] : prompt;
        answer = same_answer ? &p->list[i] : answer;
    }
    if (prompts && prompts == p->n)
        return err_set(e, ERR_USAGE,
            "%s: clean and corrupt are the same %lld tokens, so that there is nothing between them "
            "to be found; give prompts that differ in one thing",
            prompt->where, (long long)p->inputs[0].n);
    if (answers && answers == p->n)
        return err_set(e, ERR_USAGE,
            "%s: the answer and the wrong answer are the same token%s, so that their difference is "
            "0 "
            "whatever the model does; give another wrong answer, or none",
            answer->where, answer->n_answer > 1 ? "s" : "");
    if (prompts)
        snprintf(note, n,
            "%d of %d pairs have the same tokens for clean and corrupt (the first: %s): patching "
            "changes nothing there, and normalised values are NaN",
            prompts, p->n, prompt->where);
    else if (answers)
        snprintf(note, n,
            "%d of %d pairs have the same tokens as answer and wrong answer (the first: %s): their "
            "difference is 0 there, and normalised values are NaN",
            answers, p->n, answer->where);
    else if (p->n_unspaced)
        snprintf(note, n,
            "%s: \"%s\" without a blank in front goes on the prompt's last word; \" %s\" is a "
            "token "
            "of its own (%d of %d pairs)",
            p->unspaced_where, p->unspaced, p->unspaced, p->n_unspaced, p->n);
    return 0;
}

/* "to" and then "Tobin": where " Tobin" is a token too it is almost surely what was meant. */
static int note_unspaced(struct pairs *p, const struct pair *one, const struct input *clean,
    const struct pairs_opts *o, struct err *e)
{
    const struct ctx ctx = {.model = o->model};
    const size_t end = clean->text ? strlen(clean->text) : 0;
    if (!end || !isalpha((unsigned char)clean->text[end - 1]))
        return 0;
    for (int i = 0; i < one->n_answer; i++) {
        struct arena tmp = {0};
        struct err quiet;
        int64_t id;
        const char *text = token_text(o->model, one->answer[i], &tmp, e);
        const char *spaced = text ? arena_printf(&tmp, e, " %s", text) : NULL;
        const bool is_it =
            spaced && isalpha((unsigned char)*text) && !ctx_token(&id, &ctx, spaced, &quiet);
        if (is_it && !p->n_unspaced++) {
            p->unspaced = arena_strdup(o->arena, text, e);
            p->unspaced_where = one->where;
        }
        arena_release(&tmp);
        if (!spaced || (p->n_unspaced && !p->unspaced))
            return ERR_LIMIT;
        if (is_it)
            break;
    }
    return 0;
}

static int json_align(struct pair *one, const struct js *v, const char *where,
    const struct pairs_opts *o, struct err *e)
{
    size_t n = js_count(v);
    if (js_kind(v) == JS_ABSENT || js_kind(v) == JS_NULL)
        return 0;
    int64_t(*spans)[4] = arena_array(o->arena, n + 1, sizeof *spans, e);
    if (!spans)
        return ERR_LIMIT;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < 4; k++)
            if (js_count(js_at(v, i)) != 4 || !js_int(&spans[i][k], js_at(js_at(v, i), k)))
                return err_set(e, ERR_INPUT,
                    "%s: align is a list of spans [c0, c1, k0, k1]: tokens c0 to c1 (without it) "
                    "of clean are k0 to k1 of corrupt",
                    where);
    one->align = (const int64_t(*)[4])spans;
    one->n_align = (int)n;
    return js_kind(v) == JS_ARRAY
               ? 0
               : err_set(e, ERR_INPUT, "%s: align is not a list of spans", where);
}

static int text_align(
    struct pair *one, const struct pair_text *t, const struct pairs_opts *o, struct err *e)
{
    struct js *j;
    if (!t->align)
        return 0;
    if (js_parse(&j, t->align, strlen(t->align), 0, "--align", e))
        return e->code;
    int rc = json_align(one, j, t->where, o, e);
    js_release(&j);
    return rc;
}

int pairs_text(
    struct pairs *p, const struct pair_text *t, const struct pairs_opts *o, struct err *e)
{
    struct pair *one = NULL;
    struct input *in = NULL;
    if (add(&one, &in, p, t->where, o, e) ||
        text_prompt(&in[0], t->clean, t->where, "clean", o, e) ||
        text_prompt(&in[1], t->corrupt, t->where, "corrupt", o, e) ||
        texts_tokens(&one->answer, t->answer, t->n_answer, t->where, "answer", o, e) ||
        texts_tokens(&one->wrong, t->wrong, t->n_wrong, t->where, "wrong answer", o, e) ||
        text_align(one, t, o, e))
        return e->code;
    one->n_answer = t->n_answer;
    one->n_wrong = t->n_wrong;
    return note_unspaced(p, one, in, o, e);
}

/* ---- datasets ---- */

static int count_tokens(void *arg, const char *text)
{
    const struct model *m = arg;
    struct arena tmp = {0};
    struct encoding enc = {.n = -1};
    struct err e;
    tokenizer_encode(&enc, m->tokenizer, text, strlen(text), 0, &tmp, &e);
    arena_release(&tmp);
    return (int)enc.n;
}

struct dataset_opts dataset_opts_of(const struct model *m, uint64_t seed)
{
    return (struct dataset_opts){.seed = seed,
        .vocab = m->cfg.vocab,
        .bos_id = m->bos_id,
        .n_ctx = m->cfg.n_ctx,
        .count_tokens = m->tokenizer ? count_tokens : NULL,
        .count_arg = (void *)m};
}

static int item_prompt(struct input *out, const struct prompt *from, const char *where,
    const char *what, const struct pairs_opts *o, struct err *e)
{
    if (from->text) {
        if (encode(out, from->text, strlen(from->text), where, o, e))
            return e->code;
    } else if (from->tokens) {
        int32_t *ids = ids_of(o->arena, from->n_tokens, e);
        if (!ids)
            return ERR_LIMIT;
        memcpy(ids, from->tokens, (size_t)from->n_tokens * sizeof *ids);
        out->tokens = ids;
        out->n = from->n_tokens;
    }
    return check_prompt(out, where, what, o->model, e);
}

static int add_item(struct pairs *p, const struct item *it, const char *where,
    const struct pairs_opts *o, struct err *e)
{
    struct pair *one = NULL;
    struct input *in = NULL;
    if (add(&one, &in, p, where, o, e) || item_prompt(&in[0], &it->clean, where, "clean", o, e) ||
        item_prompt(&in[1], &it->corrupt, where, "corrupt", o, e))
        return e->code;
    one->n_answer = it->n_answer;
    one->n_wrong = it->n_wrong;
    if (it->answer_ids) {
        int32_t *ids = ids_of(o->arena, it->n_answer + it->n_wrong, e);
        if (!ids)
            return ERR_LIMIT;
        memcpy(ids, it->answer_ids, (size_t)it->n_answer * sizeof *ids);
        memcpy(ids + it->n_answer, it->wrong_ids, (size_t)it->n_wrong * sizeof *ids);
        one->answer = ids;
        one->wrong = ids + it->n_answer;
        return 0;
    }
    if (texts_tokens(&one->answer, it->answer, it->n_answer, where, "answer", o, e) ||
        texts_tokens(&one->wrong, it->wrong, it->n_wrong, where, "wrong answer", o, e))
        return e->code;
    return 0;
}

int pairs_dataset(struct pairs *p, const char *spec, const struct pairs_opts *o, struct err *e)
{
    const struct dataset *d;
    struct dataset_opts opts = dataset_opts_of(o->model, o->seed);
    if (dataset_parse(&d, &opts.n, spec, e))
        return e->code;
    if (!opts.n)
        opts.n = d->default_n;
    if (p->n + opts.n > p->room && p->n + opts.n <= PAIRS_MAX &&
        grow(p, p->n + (int)opts.n, o->arena, e))
        return e->code;
    for (int64_t k = 0; k < opts.n; k++) {
        struct arena tmp = {0};
        struct item it = {0};
        char where[96];
        snprintf(where, sizeof where, "%.60s %lld", d->id, (long long)k);
        int rc = d->make(&it, k, &opts, &tmp, e);
        if (rc)
            err_prefix(e, "dataset %s", d->id);
        else if (!it.corrupt.text && !it.corrupt.tokens)
            rc = err_set(e, ERR_USAGE,
                "%s has no pairs of a clean and a corrupt prompt; sonde list datasets names those "
                "that do",
                d->id);
        else
            rc = add_item(p, &it, where, o, e);
        arena_release(&tmp);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- files ---- */

static int json_line(struct pairs *p, const char *line, size_t n, const char *where,
    const struct pairs_opts *o, struct err *e)
{
    struct js *j;
    struct pair *one = NULL;
    struct input *in = NULL;
    if (js_parse(&j, line, n, 0, where, e))
        return e->code;
    int rc = add(&one, &in, p, where, o, e);
    if (!rc)
        rc = json_prompt(&in[0], js_get(j, "clean"), where, "clean", o, e);
    if (!rc)
        rc = json_prompt(&in[1], js_get(j, "corrupt"), where, "corrupt", o, e);
    if (!rc)
        rc = json_answers(&one->answer, &one->n_answer, js_get(j, "answer"), where, "answer", o, e);
    if (!rc)
        rc = json_answers(
            &one->wrong, &one->n_wrong, js_get(j, "wrong_answer"), where, "wrong_answer", o, e);
    if (!rc)
        rc = json_align(one, js_get(j, "align"), where, o, e);
    if (!rc)
        rc = note_unspaced(p, one, in, o, e);
    js_release(&j);
    return rc;
}

/* Columns of a table by the names that published files give them. */
enum column_of { COL_CLEAN, COL_CORRUPT, COL_ANSWER, COL_WRONG, COL_YEAR, COL_COUNT };
static const struct {
    const char *name;
    enum column_of column;
} columns[] = {
    {"clean", COL_CLEAN}, {"clean_prompt", COL_CLEAN}, {"corrupt", COL_CORRUPT},
    {"corrupted", COL_CORRUPT}, {"corrupted_prompt", COL_CORRUPT}, {"answer", COL_ANSWER},
    {"IO", COL_ANSWER}, {"wrong_answer", COL_WRONG}, {"S", COL_WRONG},
    {"label", COL_YEAR}, /* greater-than: the two digits that answers must exceed */
};

/* The next field of a row, cut out in place; quotes as in RFC 4180. */
static char *next_field(char **at, char separator)
{
    char *from = *at, *to = from;
    if (!from)
        return NULL;
    if (separator == ',' && *from == '"') {
        char *out = to = ++from;
        while (*to && !(to[0] == '"' && to[1] != '"')) {
            to += to[0] == '"';
            *out++ = *to++;
        }
        char *end = *to ? to + 1 : to;
        *at = *end == separator ? end + 1 : NULL;
        *out = '\0';
        return from;
    }
    to = strchr(from, separator);
    *at = to ? to + 1 : NULL;
    if (to)
        *to = '\0';
    return from;
}

static int table_header(
    int of[COL_COUNT], char *line, char separator, const char *path, struct err *e)
{
    char *at = line, *name;
    for (int i = 0; i < COL_COUNT; i++)
        of[i] = -1;
    for (int c = 0; (name = next_field(&at, separator)) != NULL; c++)
        for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
            if (!strcmp(columns[i].name, name))
                of[columns[i].column] = c;
    if (of[COL_CLEAN] < 0 || of[COL_CORRUPT] < 0)
        return err_set(e, ERR_INPUT,
            "%s: its header names no column clean (or clean_prompt) and corrupt (or corrupted, "
            "corrupted_prompt)",
            path);
    return 0;
}

/* Years above and not above two digits, for the answers of greater-than. */
static int year_answers(struct pair_text *t, const char *year, const char **room, char (*digits)[4],
    const char *where, struct err *e)
{
    char *end;
    long y = strtol(year, &end, 10);
    if (end == year || *end || y < 0 || y > 98)
        return err_set(e, ERR_INPUT, "%s: the label \"%.20s\" is no year of 00 to 98", where, year);
    for (int i = 0; i < 100; i++) {
        snprintf(digits[i], sizeof digits[i], "%02d", i);
        room[i] = digits[i];
    }
    t->wrong = room;
    t->n_wrong = (int)y + 1;
    t->answer = room + y + 1;
    t->n_answer = 99 - (int)y;
    return 0;
}

static int table_line(struct pairs *p, char *line, char separator, const int of[COL_COUNT],
    const char *where, const struct pairs_opts *o, struct err *e)
{
    const char *field[COL_COUNT] = {0}, *years[100];
    char *at = line, *text, digits[100][4];
    for (int c = 0; (text = next_field(&at, separator)) != NULL; c++)
        for (int i = 0; i < COL_COUNT; i++)
            if (of[i] == c)
                field[i] = text;
    struct pair_text t = {.clean = field[COL_CLEAN],
        .corrupt = field[COL_CORRUPT],
        .where = where,
        .answer = &field[COL_ANSWER],
        .wrong = &field[COL_WRONG],
        .n_answer = field[COL_ANSWER] != NULL,
        .n_wrong = field[COL_WRONG] != NULL};
    if (!t.clean || !t.corrupt)
        return err_set(e, ERR_INPUT, "%s: fewer columns than the header names", where);
    if (field[COL_YEAR] && !field[COL_ANSWER] &&
        year_answers(&t, field[COL_YEAR], years, digits, where, e))
        return e->code;
    return pairs_text(p, &t, o, e);
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

/* A record of a table: a line, or several where a quoted field goes on behind a line's end. */
struct record {
    char *text;
    size_t n, room;
    enum { AT_FIELD, IN_FIELD, IN_QUOTES, BEHIND_QUOTE } state;
};

static int record_add(
    struct record *r, const char *line, size_t n, char separator, struct arena *a, struct err *e)
{
    const size_t want = r->n + n + 2;
    if (want > LINE_MAX_BYTES)
        return err_set(e, ERR_LIMIT, "a row of more than %zu MB; is a quote not closed?",
            LINE_MAX_BYTES >> 20);
    if (want > r->room) {
        char *text = arena_array(a, 2 * want, 1, e);
        if (!text)
            return ERR_LIMIT;
        if (r->n)
            memcpy(text, r->text, r->n);
        r->text = text;
        r->room = 2 * want;
    }
    if (r->n)
        r->text[r->n++] = '\n';
    else
        r->state = AT_FIELD;
    memcpy(r->text + r->n, line, n + 1);
    for (size_t i = 0; i < n; i++) {
        const char c = line[i];
        if (r->state == IN_QUOTES)
            r->state = c == '"' ? BEHIND_QUOTE : IN_QUOTES;
        else if (c == '"' && separator == ',' && r->state != IN_FIELD)
            r->state = IN_QUOTES;
        else
            r->state = c == separator ? AT_FIELD : IN_FIELD;
    }
    r->n += n;
    return 0;
}

struct table {
    char separator;
    bool has_header;
    int of[COL_COUNT];
    struct record record;
    char where[512];
    struct arena arena;
};

static int table_add(struct table *t, struct pairs *p, const char *line, size_t n, const char *path,
    const struct pairs_opts *o, struct err *e)
{
    struct record *r = &t->record;
    if (record_add(r, line, n, t->separator, &t->arena, e))
        return err_prefix(e, "%s", t->where);
    if (r->state == IN_QUOTES)
        return 0;
    r->n = 0;
    if (t->has_header)
        return table_line(p, r->text, t->separator, t->of, t->where, o, e);
    t->has_header = true;
    return table_header(t->of, r->text, t->separator, path, e);
}

static char separator_of(const char *path)
{
    return ends_with(path, ".tsv") ? '\t' : ends_with(path, ".csv") ? ',' : 0;
}

/* Spreadsheets put a byte order mark before the first name. */
static void skip_mark(const char **line, size_t *n)
{
    if (*n >= 3 && !memcmp(*line, "\xef\xbb\xbf", 3)) {
        *line += 3;
        *n -= 3;
    }
}

bool pairs_file_has(const char *path)
{
    struct stream *in;
    struct err quiet;
    const char *line;
    size_t n;
    struct js *j = NULL;
    bool found = false;
    int of[COL_COUNT];
    if (!strcmp(path, "-") || stream_open(&in, path, &quiet))
        return false;
    if (stream_line(&line, &n, in, 0, &quiet) == 1) {
        skip_mark(&line, &n);
        if (separator_of(path)) /* the line is ours until the next */
            found = !table_header(of, (char *)line, separator_of(path), path, &quiet);
        else if (!js_parse(&j, line, n, 0, path, &quiet))
            found = js_kind(js_get(j, "clean")) != JS_ABSENT;
    }
    js_release(&j);
    stream_release(&in);
    return found;
}

int pairs_file(struct pairs *p, const char *path, const struct pairs_opts *o, struct err *e)
{
    struct stream *in;
    struct table t = {.separator = separator_of(path)};
    const int before = p->n;
    int rc = stream_open(&in, path, e);
    const char *line;
    size_t n;
    if (rc)
        return rc;
    while ((rc = stream_line(&line, &n, in, LINE_MAX_BYTES, e)) == 1) {
        if (stream_lines(in) == 1)
            skip_mark(&line, &n);
        if (!t.record.n) {
            snprintf(t.where, sizeof t.where, "%.400s:%lld", path, (long long)stream_lines(in));
            if (strspn(line, " \t") == n)
                continue;
        }
        rc = t.separator ? table_add(&t, p, line, n, path, o, e)
                         : json_line(p, line, n, t.where, o, e);
        if (rc)
            break;
    }
    stream_release(&in);
    if (!rc && t.record.n)
        rc = err_set(e, ERR_INPUT, "%s: a quote is opened and never closed", t.where);
    arena_release(&t.arena);
    if (!rc && p->n == before)
        rc = err_set(e, ERR_INPUT, "%s has no pairs", path);
    return rc;
}
