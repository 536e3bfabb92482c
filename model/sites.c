#include "model/sites.h"

#include <stdio.h>
#include <string.h>

static const struct site_info sites[SITE_COUNT] = {
#define SITE(id, name, brief, axes, per_layer) {name, brief, axes, per_layer},
#include "model/sites.def"
#undef SITE
};

const struct site_info *site_info(enum site s)
{
    return &sites[s];
}

bool site_is_square(enum site s)
{
    return !strcmp(sites[s].axes, "HQK");
}

int64_t site_width(enum site s, const struct config *cfg)
{
    int64_t width = 1;
    for (const char *a = sites[s].axes; *a; a++)
        switch (*a) {
        case 'H':
            width *= cfg->n_head;
            break;
        case 'D':
            width *= cfg->d_head;
            break;
        case 'C':
            width *= cfg->d_model;
            break;
        case 'F':
            width *= cfg->d_mlp;
            break;
        default:
            break;
        }
    return width;
}

void site_full_name(char *buf, int n, enum site s, int layer)
{
    if (sites[s].per_layer)
        snprintf(buf, (size_t)n, "blocks.%d.%s", layer, sites[s].name);
    else
        snprintf(buf, (size_t)n, "%s", sites[s].name);
}
