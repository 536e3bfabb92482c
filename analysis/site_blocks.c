#include "analysis/site_blocks.h"

#include <stdio.h>
#include <string.h>

#include "model/core/regex.h"

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
        rc = err_set(e, ERR_USAGE,
            "--filter %s: no hook's name matches; sonde list hooks shows them", pattern);
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
