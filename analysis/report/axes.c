#include "analysis/report/axes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void place_free(struct place *p)
{
    for (int i = 0; i < p->n_scales; i++) {
        h5_release(&p->scales[i].data);
        free(p->scales[i].users);
    }
    free(p->scales);
    h5_release(&p->group);
    h5_release(&p->axes);
    *p = (struct place){.group = -1, .axes = -1, .input = -1};
}

int place_seal(struct place *p, int64_t file, struct err *e)
{
    int rc = 0;
    for (int i = 0; i < p->n_scales && !rc; i++) {
        struct scale *s = &p->scales[i];
        if (s->dirty && s->data < 0)
            s->data = h5_open_at(file, s->address);
        if (s->dirty)
            rc = h5_put_scale(s->data, s->axis, s->users, s->n_users, e);
        s->dirty = false;
    }
    return rc;
}

void place_rest(struct place *p)
{
    for (int i = 0; i < p->n_scales; i++)
        h5_release(&p->scales[i].data);
    h5_release(&p->group);
    h5_release(&p->axes);
}

static int open_axes(struct place *p, struct err *e)
{
    if (p->axes >= 0)
        return 0;
    if (!h5_holds(p->group, "axes"))
        return h5_group(&p->axes, p->group, "axes", e);
    p->axes = h5_open_group(p->group, "axes");
    return p->axes < 0 ? h5_fail(e, ERR_OUTPUT, "cannot open the axes") : 0;
}

/* Labels that are all whole numbers (steps, layers) are stored as such. */
static int64_t *as_numbers(const struct axis *a)
{
    bool text = a->kind == AXIS_POS || a->kind == AXIS_VOCAB || a->kind == AXIS_INPUT;
    int64_t *v = text ? NULL : malloc((size_t)a->size * sizeof *v);
    for (int64_t i = 0; v && i < a->size; i++) {
        char *end, back[32];
        v[i] = strtoll(a->labels[i], &end, 10);
        snprintf(back, sizeof back, "%" PRId64, v[i]);
        if (strcmp(back, a->labels[i])) {
            free(v);
            return NULL;
        }
    }
    return v;
}

static int write_labels(
    int64_t *data, int64_t where, const char *name, const struct axis *a, struct err *e)
{
    struct h5_shape shape = {.rank = 1, .dim = &a->size};
    int64_t *numbers = as_numbers(a), from = 0;
    H5_AUTO int64_t type = numbers ? h5_type(DT_I64) : h5_text_type();
    int rc = h5_dataset(data, where, name, type, &shape, e);
    if (!rc && a->size)
        rc = h5_box(*data, type, 1, &from, &a->size, NULL,
            numbers ? (void *)numbers : (void *)a->labels, true, e);
    free(numbers);
    if (!rc)
        rc = h5_put_scale(*data, a->name, NULL, 0, e);
    if (!rc)
        rc = h5_put_axes(*data, 1, &a->name, NULL, e);
    if (!rc)
        rc = h5_put_text(*data, "long_name", "labels of the axis", e);
    return rc ? rc : h5_put_text(*data, "unit", "", e);
}

/* The scale with these labels in this group, made if it is new. */
static int find_scale(struct scale **out, struct place *p, const struct axis *a, struct err *e)
{
    char name[160];
    int rc, same = 1;
    for (int i = 0; i < p->n_scales; i++)
        if (p->scales[i].labels == a->labels && p->scales[i].n == a->size &&
            !strcmp(p->scales[i].axis, a->name)) {
            *out = &p->scales[i];
            return 0;
        }
    if ((rc = open_axes(p, e)) ||
        (rc = report_grow(&p->scales, p->n_scales, &p->cap_scales, sizeof *p->scales, e)))
        return rc;
    snprintf(name, sizeof name, "%.100s", a->name);
    for (char *c = name; *c; c++)
        if (*c == '/')
            *c = '_';
    size_t stem = strlen(name);
    while (h5_holds(p->axes, name))
        snprintf(name + stem, sizeof name - stem, "_%d", ++same);
    struct scale *s = &p->scales[p->n_scales];
    *s = (struct scale){.axis = a->name, .labels = a->labels, .n = a->size, .data = -1};
    rc = write_labels(&s->data, p->axes, name, a, e);
    s->address = rc ? 0 : h5_address(s->data);
    p->n_scales++;
    *out = s;
    return rc;
}

int place_axes(struct place *p, const struct block_spec *s, int64_t data, struct err *e)
{
    const char *names[FIELD_MAX_RANK], *kinds[FIELD_MAX_RANK];
    uint64_t address[FIELD_MAX_RANK] = {0}, own = h5_address(data);
    for (int i = 0; i < s->rank; i++) {
        struct scale *scale;
        names[i] = s->axes[i].name;
        kinds[i] = axis_kind_name(s->axes[i].kind);
        if (!s->axes[i].labels || s->n_columns || !s->axes[i].size)
            continue;
        int rc = find_scale(&scale, p, &s->axes[i], e);
        if (!rc)
            rc = report_grow(
                &scale->users, scale->n_users, &scale->cap_users, sizeof *scale->users, e);
        if (rc)
            return rc;
        scale->users[scale->n_users++] = (struct h5_user){own, i};
        scale->dirty = true;
        address[i] = scale->address;
    }
    if (!s->rank)
        return 0;
    int rc = h5_put_axes(data, s->rank, names, address, e);
    return rc ? rc : h5_put_texts(data, "axis_kinds", kinds, s->rank, e);
}
