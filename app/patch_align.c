#include "app/patch_align.h"

#include <stdlib.h>
#include <string.h>

#include "app/prompts.h"

void align_release(struct align_rows *r)
{
    free(r->cell[0]);
    free(r->cell[1]);
    *r = (struct align_rows){0};
}

int align_reset(struct align_rows *r, int64_t clean, int64_t corrupt, struct err *e)
{
    align_release(r);
    const int64_t room = clean + corrupt + 1;
    for (int i = 0; i < 2; i++) {
        r->tokens[i] = r->n[i] = i ? corrupt : clean;
        r->cell[i] = malloc((size_t)room * sizeof *r->cell[i]);
        for (int64_t t = 0; r->cell[i] && t < r->n[i]; t++)
            r->cell[i][t] = t;
    }
    r->room = room;
    if (r->cell[0] && r->cell[1])
        return 0;
    align_release(r);
    return err_set(e, ERR_LIMIT, "no memory for an alignment");
}

int64_t align_columns(const struct align_rows *r)
{
    return r->n[0] > r->n[1] ? r->n[0] : r->n[1];
}

int64_t align_cell(const struct align_rows *r, int row, int64_t column)
{
    return column >= 0 && column < r->n[row] ? r->cell[row][column] : -1;
}

int64_t align_column(const struct align_rows *r, int row, int64_t pos)
{
    for (int64_t i = 0; i < r->n[row]; i++)
        if (r->cell[row][i] == pos)
            return i;
    return -1;
}

bool align_is_done(const struct align_rows *r)
{
    return r->n[0] == r->n[1];
}

/* A column of two gaps says nothing. */
static void drop_empty(struct align_rows *r)
{
    int64_t to = 0, n = align_columns(r), both = r->n[0] < r->n[1] ? r->n[0] : r->n[1];
    for (int64_t i = 0; i < n; i++) {
        if (i < both && r->cell[0][i] < 0 && r->cell[1][i] < 0)
            continue;
        for (int k = 0; k < 2; k++)
            if (i < r->n[k])
                r->cell[k][to] = r->cell[k][i];
        to++;
    }
    for (int k = 0; k < 2; k++)
        r->n[k] -= n - to;
}

bool align_gap(struct align_rows *r, int row, int64_t column)
{
    if (column < 0 || column > r->n[row] || r->n[row] >= r->room)
        return false;
    int64_t *at = r->cell[row] + column;
    memmove(at + 1, at, (size_t)(r->n[row] - column) * sizeof *at);
    *at = -1;
    r->n[row]++;
    drop_empty(r);
    return true;
}

bool align_close(struct align_rows *r, int64_t column)
{
    for (int k = 0; k < 2; k++)
        if (column >= 0 && column < r->n[k] && r->cell[k][column] < 0) {
            int64_t *at = r->cell[k] + column;
            memmove(at, at + 1, (size_t)(--r->n[k] - column) * sizeof *at);
            drop_empty(r);
            return true;
        }
    return false;
}

void align_span(struct align_rows *r, int64_t from, int64_t to)
{
    int64_t n[2] = {0, 0}, first[2] = {-1, -1};
    if (from > r->n[0] || from > r->n[1])
        return;
    for (int k = 0; k < 2; k++)
        for (int64_t i = from; i < to; i++)
            if (align_cell(r, k, i) >= 0) {
                first[k] = n[k]++ ? first[k] : r->cell[k][i];
            }
    const int64_t wide = n[0] > n[1] ? n[0] : n[1];
    for (int k = 0; k < 2; k++) {
        int64_t end = to < r->n[k] ? to : r->n[k], rest = r->n[k] - end;
        int64_t begin = from < r->n[k] ? from : r->n[k];
        if (begin + wide + rest > r->room)
            return;
        memmove(r->cell[k] + begin + wide, r->cell[k] + end, (size_t)rest * sizeof *r->cell[k]);
        for (int64_t i = 0; i < wide; i++)
            r->cell[k][begin + i] = i < wide - n[k] ? -1 : first[k] + i - (wide - n[k]);
        r->n[k] = begin + wide + rest;
    }
}

static void put(struct align_rows *r, int64_t c, int64_t k)
{
    r->cell[0][r->n[0]++] = c;
    r->cell[1][r->n[1]++] = k;
}

int align_from_spans(struct align_rows *r, const int64_t (*spans)[4], int n, struct err *e)
{
    int64_t c = 0, k = 0, clean = r->tokens[0], corrupt = r->tokens[1];
    for (int i = 0; i < n; i++) {
        const int64_t *s = spans[i];
        if (s[0] < c || s[2] < k || s[1] < s[0] || s[3] < s[2] || s[1] > clean || s[3] > corrupt ||
            s[0] - c != s[2] - k)
            return err_set(e, ERR_USAGE,
                "align [%lld, %lld, %lld, %lld] does not fit %lld and %lld tokens: spans come in "
                "order, "
                "and "
                "between them stand equally many tokens of both",
                (long long)s[0], (long long)s[1], (long long)s[2], (long long)s[3],
                (long long)clean, (long long)corrupt);
        c = s[1];
        k = s[3];
    }
    if (n && clean - c != corrupt - k)
        return err_set(e, ERR_USAGE,
            "behind the last span of align stand %lld tokens of clean and %lld of corrupt",
            (long long)(clean - c), (long long)(corrupt - k));
    if (align_reset(r, clean, corrupt, e))
        return e->code;
    if (!n)
        return 0;
    r->n[0] = r->n[1] = 0;
    c = k = 0;
    for (int i = 0; i < n; i++) {
        const int64_t *s = spans[i];
        while (c < s[0])
            put(r, c++, k++);
        for (; s[1] - c > s[3] - k; c++)
            put(r, c, -1);
        for (; s[3] - k > s[1] - c; k++)
            put(r, -1, k);
        while (c < s[1])
            put(r, c++, k++);
    }
    while (c < clean)
        put(r, c++, k++);
    return 0;
}

int align_from_ids(
    struct align_rows *r, const int32_t *clean, const int32_t *corrupt, struct err *e)
{
    const int64_t n = r->tokens[0], m = r->tokens[1];
    int64_t *map = malloc((size_t)(n ? n : 1) * sizeof *map), k = 0;
    int rc = map ? prompts_align(map, clean, n, corrupt, m, NULL, e)
                 : err_set(e, ERR_LIMIT, "no memory for an alignment");
    if (!rc)
        rc = align_reset(r, n, m, e);
    if (!rc) {
        r->n[0] = r->n[1] = 0;
        for (int64_t c = 0; c < n; c++) {
            while (map[c] >= 0 && k < map[c])
                put(r, -1, k++);
            put(r, c, map[c] >= 0 ? k++ : -1);
        }
        while (k < m)
            put(r, -1, k++);
    }
    free(map);
    return rc;
}

int align_spans(int64_t (*out)[4], const struct align_rows *r)
{
    int n = 0;
    int64_t c = 0, k = 0, columns = align_columns(r);
    for (int64_t i = 0; i < columns;) {
        const bool no_c = align_cell(r, 0, i) < 0, no_k = align_cell(r, 1, i) < 0;
        int64_t run = 1;
        if (!no_c && !no_k) {
            c++, k++, i++;
            continue;
        }
        while (i + run < columns && (align_cell(r, 0, i + run) < 0) == no_c &&
               (align_cell(r, 1, i + run) < 0) == no_k)
            run++;
        out[n][0] = c;
        out[n][1] = c += no_c ? 0 : run;
        out[n][2] = k;
        out[n][3] = k += no_k ? 0 : run;
        n++;
        i += run;
    }
    return n;
}
