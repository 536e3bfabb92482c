#include "analysis/site_blocks.h"

#include <stdio.h>
#include <string.h>

#include "model/core/regex.h"

/* Names without their block, next to what was typed: whole ones where a hook_ was typed, else brief. */
static int no_match(const char *pattern, struct err *e)
{
    const char *names[SITE_COUNT], *near[3] = {"", "", ""};
    const char *dot = strrchr(pattern, '.'), *word = dot && dot[1] ? dot + 1 : pattern;
    bool brief = !strstr(word, "hook");
    enum site s;
    for (int i = 0; i < SITE_COUNT; i++) {
        const struct site_info *info = site_info((enum site)i);
        const char *last = strrchr(info->name, '.');
        names[i] = brief ? info->brief : last ? last + 1 : info->name;
    }
    nearest_names(near, 3, word, names, SITE_COUNT);
    for (int k = 0; k < 3 && brief; k++)
        if (site_of_word(&s, near[k], strlen(near[k])))
            near[k] = site_info(s)->name;
    return err_set(e, ERR_USAGE,
        "--filter %.200s is found in no hook's name; near are %s, %s, %s (sonde list hooks shows "
        "all)",
        pattern, near[0], near[1], near[2]);
}

int sites_select(struct plan *plan, const struct config *cfg, const char *pattern, struct err *e)
{
    struct regex *re = NULL;
    struct matcher *m = NULL;
    int found = 0, rc = regex_compile(&re, pattern, strlen(pattern), 0, e);
    if (!rc)
        rc = matcher_create(&m, re, e);
    for (int s = 0; s < SITE_COUNT && !rc; s++)
        for (int l = 0; l < (site_info((enum site)s)->per_layer ? cfg->n_layer : 1); l++) {
            char name[64];
            size_t begin, end;
            site_full_name(name, sizeof name, (enum site)s, l);
            int hit = regex_find(&begin, &end, m, name, strlen(name), 0, 0, e);
            rc = hit < 0 ? hit : 0;
            if (hit > 0) {
                plan_keep(plan, (enum site)s, l);
                found++;
            }
        }
    if (!rc && !found)
        rc = no_match(pattern, e);
    matcher_release(&m);
    regex_release(&re);
    return rc;
}

static struct axis axis_of(char letter, const struct config *cfg, int64_t n)
{
    switch (letter) {
    case 'P':
        return (struct axis){"pos", AXIS_POS, n, NULL};
    case 'Q':
        return (struct axis){"query", AXIS_POS, n, NULL};
    case 'K':
        return (struct axis){"key", AXIS_POS, n, NULL};
    case 'H':
        return (struct axis){"head", AXIS_HEAD, cfg->n_head, NULL};
    case 'D':
        return (struct axis){"d_head", AXIS_DIM, cfg->d_head, NULL};
    case 'C':
        return (struct axis){"d_model", AXIS_DIM, cfg->d_model, NULL};
    case 'F':
        return (struct axis){"neuron", AXIS_NEURON, cfg->d_mlp, NULL};
    default:
        return (struct axis){"scale", AXIS_OTHER, 1, NULL};
    }
}

int sites_write(struct run *out, const struct plan *which, const struct config *cfg,
    const struct input *in, const struct site_reader *r, struct err *e)
{
    for (int s = 0; s < SITE_COUNT; s++) {
        const struct site_info *info = site_info((enum site)s);
        for (int l = 0; l < (info->per_layer ? cfg->n_layer : 1); l++) {
            if (!plan_keeps(which, (enum site)s, l))
                continue;
            char name[64];
            const float *data;
            struct block *b;
            site_full_name(name, sizeof name, (enum site)s, l);
            struct block_spec spec = {.name = name,
                .input = in->index,
                .unit = r->unit,
                .long_name = r->long_name,
                .look = LOOK_HEATMAP,
                .is_signed = true};
            for (const char *a = info->axes; *a; a++)
                spec.axes[spec.rank++] = axis_of(*a, cfg, in->n);
            if (r->read(&data, r->arg, (enum site)s, l, e) || run_block(&b, out, &spec, e) ||
                block_set(b, data, e))
                return e->code;
        }
    }
    return 0;
}
