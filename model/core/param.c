#include "model/core/param.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/core/machine.h"

/* A longer list is a mistake, not a selection. */
#define LIST_MAX 100000

int args_init(struct args *a, const struct param *table, int n, struct arena *arena, struct err *e)
{
    *a = (struct args){.table = table, .n = n, .arena = arena};
    a->values = arena_zalloc(arena, (size_t)n * sizeof *a->values, e);
    if (!a->values)
        return ERR_LIMIT;
    for (int i = 0; i < n; i++) {
        if (!table[i].def)
            continue;
        int rc = args_set(a, i, table[i].def, e);
        if (rc)
            return rc;
        a->values[i].is_set = false;
        a->values[i].n_texts = 0; /* what the user gives replaces a default, it is not added */
    }
    return 0;
}

/* "an integer from 1 to 8", "a number": the remedy of every number's message. */
static void wanted(char *buf, size_t n, const struct param *p, const char *what)
{
    if (p->min == p->max)
        snprintf(buf, n, "%s", what);
    else if (isinf(p->max))
        snprintf(buf, n, "%s, at least %.16g", what, p->min);
    else if (isinf(p->min))
        snprintf(buf, n, "%s, at most %.16g", what, p->max);
    else
        snprintf(buf, n, "%s from %.16g to %.16g", what, p->min, p->max);
}

static int refuse(const struct param *p, const char *text, const char *what, struct err *e)
{
    char want[128];
    wanted(want, sizeof want, p, what);
    if (!*text)
        return err_set(e, ERR_USAGE, "--%s is empty; give %s", p->name, want);
    return err_set(e, ERR_USAGE, "--%s: \"%.80s\" does not fit; give %s", p->name, text, want);
}

static bool inside(const struct param *p, double v)
{
    return p->min == p->max || (v >= p->min && v <= p->max);
}

static int set_int(struct param_value *v, const struct param *p, const char *text, struct err *e)
{
    char *end;
    errno = 0;
    long long i = strtoll(text, &end, 10);
    if (end == text || *end || errno || !inside(p, (double)i))
        return refuse(p, text, "an integer", e);
    v->i = i;
    v->f = (double)i;
    return 0;
}

static int set_float(struct param_value *v, const struct param *p, const char *text, struct err *e)
{
    char *end;
    double f = strtod(text, &end);
    if (end == text || *end || !isfinite(f) || !inside(p, f))
        return refuse(p, text, "a number", e);
    v->f = f;
    return 0;
}

static int set_bool(struct param_value *v, const struct param *p, const char *text, struct err *e)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"true", true}, {"false", false}, {"1", true}, {"0", false}, {"yes", true},
        {"no", false}, {"on", true}, {"off", false}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(text, words[i].word)) {
            v->b = words[i].value;
            return 0;
        }
    return err_set(e, ERR_USAGE, "--%s: \"%.80s\" is neither true nor false; give --%s or --no-%s",
        p->name, text, p->name, p->name);
}

/* One of the words between bars. */
static bool is_choice(const char *choices, const char *text)
{
    size_t n = strlen(text);
    for (const char *c = choices; c && *c;) {
        size_t len = strcspn(c, "|");
        if (len == n && !memcmp(c, text, n))
            return true;
        c += len + (c[len] == '|');
    }
    return false;
}

static int set_choice(const struct param *p, const char *text, struct err *e)
{
    if (is_choice(p->choices, text))
        return 0;
    return err_set(e, ERR_USAGE, "--%s: \"%.80s\" is none of its choices; give one of %s", p->name,
        text, p->choices);
}

/* The next "5" or "5-8" of a list. */
static int list_item(const char **at, long long *from, long long *to)
{
    char *end;
    errno = 0;
    *from = *to = strtoll(*at, &end, 10);
    if (end == *at || errno)
        return -1;
    if (*end == '-') {
        const char *second = end + 1;
        *to = strtoll(second, &end, 10);
        if (end == second || errno || *to < *from)
            return -1;
    }
    if (*end && *end != ',')
        return -1;
    *at = end + (*end == ',');
    return *end == ',' && !end[1] ? -1 : 0; /* nothing behind the last comma */
}

static int set_list(struct param_value *v, const struct param *p, const char *text,
    struct arena *arena, struct err *e)
{
    static const char what[] = "integers and ranges as in 0,2,5-8";
    long long from, to;
    int64_t n = 0;
    for (const char *at = text; *at;) {
        if (list_item(&at, &from, &to) || !inside(p, (double)from) || !inside(p, (double)to))
            return refuse(p, text, what, e);
        if (to - from >= LIST_MAX || (n += to - from + 1) > LIST_MAX)
            return err_set(
                e, ERR_USAGE, "--%s: more than %d values; give a shorter list", p->name, LIST_MAX);
    }
    if (!n)
        return refuse(p, text, what, e);
    v->list = arena_array(arena, (size_t)n, sizeof *v->list, e);
    if (!v->list)
        return ERR_LIMIT;
    v->n_list = 0;
    for (const char *at = text; *at;) {
        list_item(&at, &from, &to);
        for (long long i = from; i <= to; i++)
            v->list[v->n_list++] = i;
    }
    return 0;
}

static int set_size(struct param_value *v, const struct param *p, const char *text, struct err *e)
{
    static const char what[] = "a size of 1M or more, as in 512M, 8G or 70%";
    static const char units[] = "KMGTP";
    char *end;
    double f = strtod(text, &end);
    if (end == text || !isfinite(f) || f < 0)
        return refuse(p, text, what, e);
    const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    if (*end == '%' && !end[1]) {
        if (f > 100)
            return refuse(p, text, "a size, or a share of memory up to 100%", e);
        f *= (double)machine_memory() / 100;
        end++;
    } else if (unit) {
        f = ldexp(f, 10 * (int)(unit - units + 1));
        end++;
        end += *end == 'i';
        end += *end == 'B';
    } else if (*end == 'B') {
        end++;
    }
    if (*end || f < 0x1p20 || f >= 0x1p62 || !inside(p, f))
        return refuse(p, text, what, e);
    v->i = (int64_t)f;
    v->f = f;
    return 0;
}

/* Appends to the texts of a flag that may be given several times; doubles its room. */
static int add_text(struct param_value *v, const char *text, struct arena *arena, struct err *e)
{
    int n = v->n_texts;
    if (!(n & (n - 1))) {
        const char **grown = arena_array(arena, n ? 2 * (size_t)n : 1, sizeof *grown, e);
        if (!grown)
            return ERR_LIMIT;
        if (n)
            memcpy(grown, v->texts, (size_t)n * sizeof *grown);
        v->texts = grown;
    }
    v->texts[v->n_texts++] = text;
    return 0;
}

int args_set(struct args *a, int index, const char *text, struct err *e)
{
    const struct param *p = &a->table[index];
    struct param_value v = a->values[index];
    int rc = 0;
    switch (p->type) {
    case PARAM_BOOL:
        rc = set_bool(&v, p, text, e);
        break;
    case PARAM_INT:
        rc = set_int(&v, p, text, e);
        break;
    case PARAM_FLOAT:
        rc = set_float(&v, p, text, e);
        break;
    case PARAM_CHOICE:
        rc = set_choice(p, text, e);
        break;
    case PARAM_LIST:
        rc = set_list(&v, p, text, a->arena, e);
        break;
    case PARAM_SIZE:
        rc = set_size(&v, p, text, e);
        break;
    case PARAM_TOKEN:
    case PARAM_FILE:
        if (!*text)
            rc = refuse(p, text, p->type == PARAM_FILE ? "a path" : "a token or #ID", e);
        break;
    case PARAM_STRING:
        break;
    }
    if (rc)
        return rc;
    v.text = arena_strdup(a->arena, text, e);
    if (!v.text)
        return ERR_LIMIT;
    if (p->many && (rc = add_text(&v, v.text, a->arena, e)) != 0)
        return rc;
    v.is_set = v.has = true;
    a->values[index] = v;
    return 0;
}

int args_find(const struct args *a, const char *name)
{
    for (int i = 0; i < a->n; i++)
        if (!strcmp(a->table[i].name, name))
            return i;
    return -1;
}

const struct param_value *args_get(const struct args *a, const char *name)
{
    int i = args_find(a, name);
    assert(i >= 0);
    return &a->values[i];
}

bool args_bool(const struct args *a, const char *name)
{
    return args_get(a, name)->b;
}

int64_t args_int(const struct args *a, const char *name)
{
    return args_get(a, name)->i;
}

double args_float(const struct args *a, const char *name)
{
    return args_get(a, name)->f;
}

const char *args_text(const struct args *a, const char *name)
{
    return args_get(a, name)->text;
}

/* Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours. Words are
 * cut at NEAR_MAX, which no name of ours reaches. */
#define NEAR_MAX 63

static int distance(const char *a, const char *b)
{
    int d[3][NEAR_MAX + 2];
    int n = (int)strnlen(a, NEAR_MAX), m = (int)strnlen(b, NEAR_MAX);
    for (int j = 0; j <= m; j++)
        d[0][j] = j;
    for (int i = 1; i <= n; i++) {
        int *row = d[i % 3], *up = d[(i + 2) % 3], *up2 = d[(i + 1) % 3];
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            int differ = tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]);
            int best = up[j - 1] + differ;
            if (up[j] + 1 < best)
                best = up[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                up2[j - 2] + 1 < best)
                best = up2[j - 2] + 1;
            row[j] = best;
        }
    }
    return d[n % 3][m];
}

int nearest_names(const char **out, int max, const char *word, const char *const *names, int n)
{
    int found = 0, score[16];
    if (max > 16)
        max = 16;
    for (int i = 0; i < n; i++) {
        int s = 2 * distance(word, names[i]);
        size_t len = strlen(word);
        /* What begins with the word is what the user was typing. */
        if (len && !strncmp(word, names[i], len))
            s = 1;
        int at = found;
        while (at > 0 && score[at - 1] > s)
            at--;
        if (at == max)
            continue;
        if (found < max)
            found++;
        memmove(out + at + 1, out + at, (size_t)(found - 1 - at) * sizeof *out);
        memmove(score + at + 1, score + at, (size_t)(found - 1 - at) * sizeof *score);
        out[at] = names[i];
        score[at] = s;
    }
    return found;
}
