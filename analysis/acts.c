#include "analysis/acts.h"

int acts_get(const float **out, const struct acts *a, enum site s, int layer, struct err *e)
{
    *out = site_is_square(s) ? trace_square(a->trace, s, layer, a->input)
                             : trace_site(a->trace, s, layer, a->input);
    if (*out)
        return 0;
    char name[64];
    site_full_name(name, sizeof name, s, layer);
    return err_set(e, ERR_USAGE, "%s is not in this source of activations", name);
}

int acts_logits(const float **out, const struct acts *a, int64_t pos, struct err *e)
{
    *out = trace_logits(a->trace, a->input, pos);
    if (*out)
        return 0;
    return err_set(e, ERR_USAGE,
        "the logits at position %lld are not in this source of activations", (long long)pos);
}
