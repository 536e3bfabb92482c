#include "model/core/field.h"

#include <stdio.h>
#include <string.h>

const char *axis_kind_name(enum axis_kind k)
{
    static const char *const names[AXIS_KIND_COUNT] = {
#define X(id, name, ordered) name,
        AXIS_KINDS(X)
#undef X
    };
    return names[k];
}

enum axis_kind axis_kind_of(const char *axis_name)
{
    static const struct {
        const char *name;
        enum axis_kind kind;
    } also[] = {{"query", AXIS_POS}, {"key", AXIS_POS}, {"dest", AXIS_POS}, {"src", AXIS_POS},
        {"token", AXIS_POS}, {"k", AXIS_RANK}, {"component", AXIS_COMPONENT}};
    for (int k = 0; k < AXIS_KIND_COUNT; k++)
        if (!strcmp(axis_name, axis_kind_name((enum axis_kind)k)))
            return (enum axis_kind)k;
    for (size_t i = 0; i < sizeof also / sizeof *also; i++)
        if (!strcmp(axis_name, also[i].name))
            return also[i].kind;
    return AXIS_OTHER;
}

unsigned axis_kinds_ordered(void)
{
    return 0u
#define X(id, name, ordered) | (ordered ? 1u << AXIS_##id : 0u)
        AXIS_KINDS(X)
#undef X
            ;
}

const char *look_name(enum look l)
{
    static const char *const names[LOOK_COUNT] = {
#define X(id, name) name,
        LOOKS(X)
#undef X
    };
    return names[l];
}

static const struct {
    const char *name, *help;
} reduces[FIELD_REDUCE_COUNT] = {
#define X(id, name, help) {name, help},
    FIELD_REDUCES(X)
#undef X
};

const char *reduce_name(enum field_reduce r)
{
    return reduces[r].name;
}

const char *reduce_help(enum field_reduce r)
{
    return reduces[r].help;
}

int reduce_find(const char *name)
{
    for (int i = 0; i < FIELD_REDUCE_COUNT; i++)
        if (!strcmp(name, reduces[i].name))
            return i;
    return -1;
}

bool axis_has_labels(const struct axis *a)
{
    return a->labels || a->label;
}

const char *axis_label(const struct axis *a, int64_t i, char *buf, size_t n)
{
    if (a->label && i >= 0 && i < a->size)
        return a->label(a, i, buf, n);
    if (a->labels && i >= 0 && i < a->size)
        return a->labels[i];
    snprintf(buf, n, "%lld", (long long)i);
    return buf;
}

struct window field_all(const struct field *f)
{
    struct window w = {0};
    for (int i = 0; i < f->rank; i++) {
        w.count[i] = f->axes[i].size;
        w.stride[i] = 1;
    }
    return w;
}

int64_t window_count(const struct window *w, int rank)
{
    return dims_count(w->count, rank);
}
