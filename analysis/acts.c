#include "analysis/acts.h"

int acts_get(const float **out, const struct acts *a, enum site s, int layer, struct err *e)
{
    char name[64];
    if (a->cache)
        return acts_cache_get(out, a->cache, s, layer, e);
    bool fits = !site_info(s)->per_layer || (layer >= 0 && layer < a->trace->cfg->n_layer);
    *out = !fits               ? NULL
           : site_is_square(s) ? trace_square(a->trace, s, layer, a->input)
                               : trace_site(a->trace, s, layer, a->input);
    if (*out)
        return 0;
    site_full_name(name, sizeof name, s, layer);
    return err_set(
        e, ERR_USAGE, "%s was not kept: plan() of the analysis has to name it (plan_keep)", name);
}

int acts_logits(const float **out, const struct acts *a, int64_t pos, struct err *e)
{
    if (a->cache)
        return acts_cache_logits(out, a->cache, pos, e);
    *out = trace_logits(a->trace, a->input, pos);
    if (*out)
        return 0;
    return err_set(e, ERR_USAGE,
        "the logits at position %lld were not kept: plan() of the analysis has to ask for them "
        "(LOGITS_LAST, LOGITS_ALL)",
        (long long)pos);
}
