#include "app/part.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "layer 0..2, pos 0..13": what a block's axes are, for those who asked for others. */
static const char *axes_text(char *buf, size_t n, const struct field *f)
{
    size_t at = 0;
    buf[0] = '\0';
    for (int i = 0; i < f->rank && at < n; i++)
        at += (size_t)snprintf(buf + at, n - at, "%s%s 0..%lld", i ? ", " : "", f->axes[i].name,
            (long long)f->axes[i].size - 1);
    return *buf ? buf : "none";
}

static int find_axis(const struct field *f, const char *name, size_t n)
{
    char *end;
    for (int i = 0; i < f->rank; i++)
        if (strlen(f->axes[i].name) == n && !strncmp(f->axes[i].name, name, n))
            return i;
    long k = n ? strtol(name, &end, 10) : -1;
    if (!n || end != name + n)
        return -1;
    k += k < 0 ? f->rank : 0;
    return k >= 0 && k < f->rank ? (int)k : -1;
}

/* ---- --reduce and --along ---- */

static int fold_axes(
    struct part *p, const char *how, const char *along, struct arena *a, struct err *e)
{
    char axes[256];
    int reduce = how ? reduce_find(how) : -1, folded = 0;
    if (!how && !along)
        return 0;
    if (!how || !along)
        return err_set(e, ERR_USAGE,
            "--reduce and --along belong together, as in --reduce mean "
            "--along head");
    if (reduce <= FIELD_POINT)
        return err_set(e, ERR_USAGE,
            "--reduce %.40s is unknown; there are mean, max, min, absmax, "
            "norm and std",
            how);
    for (const char *at = along; *at; at += *at == ',') {
        size_t n = strcspn(at, ",");
        int axis = find_axis(&p->f, at, n);
        struct field_folded *m = arena_zalloc(a, sizeof *m, e);
        if (!m)
            return e->code;
        if (axis < 0)
            return err_set(e, ERR_USAGE, "--along %.60s: %s has the axes %s", along, p->f.name,
                axes_text(axes, sizeof axes, &p->f));
        if (folded++ && reduce == FIELD_STD)
            return err_set(e, ERR_USAGE,
                "--reduce std folds one axis: deviations of deviations "
                "are none of the whole");
        *m = (struct field_folded){.base = p->f, .axis = axis, .how = (enum field_reduce)reduce};
        if (field_from_fold(&p->f, m, e))
            return e->code;
        at += n;
    }
    p->is_folded = true;
    return 0;
}

/* ---- --slice ---- */

/* "3", "-1", ":", "2:9", "2:", ":9" along an axis of `size`. False: not such a thing, or outside. */
static bool read_range(
    int64_t *start, int64_t *count, bool *drop, const char *s, size_t n, int64_t size)
{
    char text[64], *end;
    const char *colon = memchr(s, ':', n);
    if (!n || n >= sizeof text)
        return false;
    memcpy(text, s, n);
    text[n] = '\0';
    errno = 0;
    int64_t from = colon == s ? 0 : strtoll(text, &end, 10), to = size;
    if (colon != s && end != text + (colon ? colon - s : (long)n))
        return false;
    from += from < 0 ? size : 0;
    if (colon && colon + 1 < s + n) {
        to = strtoll(text + (colon + 1 - s), &end, 10);
        if (*end)
            return false;
        to += to < 0 ? size : 0;
    }
    *drop = !colon;
    *start = from;
    *count = colon ? to - from : 1;
    return !errno && from >= 0 && *count > 0 && from <= size - *count;
}

static int cut_axes(struct part *p, const char *slice, struct err *e)
{
    char axes[256];
    int nth = 0;
    bool seen[FIELD_MAX_RANK] = {false};
    if (!slice)
        return 0;
    for (const char *at = slice;; at++) {
        size_t n = strcspn(at, ","), eq = strcspn(at, "=,");
        bool named = at[eq] == '=';
        int axis = named ? find_axis(&p->f, at, eq) : nth < p->f.rank ? nth : -1;
        const char *value = named ? at + eq + 1 : at;
        nth++;
        if (axis < 0 || seen[axis] ||
            !read_range(&p->cut.w.start[axis], &p->cut.w.count[axis], &p->cut.drop[axis], value,
                n - (size_t)(value - at), p->f.axes[axis].size))
            return err_set(e, ERR_USAGE, "--slice \"%.60s\" does not fit %s; its axes are %s",
                slice, p->f.name, axes_text(axes, sizeof axes, &p->f));
        seen[axis] = true;
        at += n;
        if (!*at)
            break;
    }
    p->is_cut = true;
    return 0;
}

/* The axes that a slice leaves are drawn, the last two of them. */
static void choose_axes(struct part *p)
{
    int axes[2] = {-1, -1}, n = 0;
    const struct field *f = &p->f;
    for (int i = f->rank - 1; i >= 0; i--) {
        if (p->cut.drop[i])
            p->st.at[i] = p->cut.w.start[i];
        else if (n < 2)
            axes[n++] = i;
    }
    if (!p->is_cut || !f->rank)
        return;
    if (!n)
        axes[n++] = f->rank - 1;
    p->st.has_axes = true;
    p->st.row_axis = n == 2 ? axes[1] : axes[0];
    p->st.col_axis = n == 2 ? axes[0] : -1;
}

int part_make(struct part *out, const struct view_data *d, const struct command *c, struct arena *a,
    struct err *e)
{
    const struct field *base = &d->fields[0];
    *out = (struct part){.f = *base};
    out->cut = export_whole(&out->f);
    if (!c)
        return 0;
    if (d->n > 1 && (args_text(&c->args, "slice") || args_text(&c->args, "reduce")))
        return err_set(e, ERR_USAGE,
            "a table of %d columns is neither sliced nor reduced; "
            "--top N draws its largest rows",
            d->n);
    int rc = fold_axes(out, args_text(&c->args, "reduce"), args_text(&c->args, "along"), a, e);
    out->cut = export_whole(&out->f);
    if (!rc)
        rc = cut_axes(out, args_text(&c->args, "slice"), e);
    if (rc)
        return rc;
    choose_axes(out);
    out->st.sorted = args_bool(&c->args, "sort");
    out->st.log_v = args_bool(&c->args, "log-scale");
    out->st.top = (int)args_int(&c->args, "top");
    return 0;
}

int part_field(struct field *out, const struct part *p, struct arena *a, struct err *e)
{
    bool is_whole = true;
    *out = p->f;
    struct field_cut *m = arena_zalloc(a, sizeof *m, e);
    if (!m)
        return e->code;
    m->base = p->f;
    for (int i = 0; i < p->f.rank; i++) {
        bool cut = !p->cut.drop[i] && p->cut.w.count[i] < p->f.axes[i].size;
        is_whole = is_whole && !cut;
        m->first[i] = cut ? p->cut.w.start[i] : 0;
        m->count[i] = cut ? p->cut.w.count[i] : p->f.axes[i].size;
    }
    return is_whole ? 0 : field_from_cut(out, m, a, e);
}

int part_view(const struct view **out, const struct view_data *d, const struct field *f,
    const struct command *c, struct err *e)
{
    const char *id = c ? args_text(&c->args, "view") : NULL;
    *out = id ? view_find(id) : d->n > 1 ? view_for_data(d) : view_for(f);
    if (id && !*out)
        return err_set(e, ERR_USAGE, "no view %.40s; sonde list views has them", id);
    if (id && (f->rank < (*out)->min_rank || f->rank > (*out)->max_rank))
        return err_set(e, ERR_USAGE, "%s takes %d to %d axes, %s has %d", id, (*out)->min_rank,
            (*out)->max_rank, f->name, f->rank);
    return *out ? 0
                : err_set(e, ERR_USAGE, "no view draws %s of rank %d; try sonde export", f->name,
                      f->rank);
}
