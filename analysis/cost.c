#include "analysis/cost.h"

#include <string.h>

#include "analysis/pairs.h"
#include "model/backward.h"

double cost_row(const struct config *cfg, double keys)
{
    const double C = cfg->d_model, F = cfg->d_mlp;
    return 8 * C * C + 4 * C * F + 4 * C * keys;
}

double cost_logits(const struct config *cfg)
{
    return 2.0 * (double)cfg->d_model * (double)cfg->vocab;
}

double cost_layers(const struct config *cfg)
{
    return 0.5 * cfg->n_layer * (cfg->n_layer + 1);
}

static struct estimate pass(const struct config *cfg, const enum site *sites, int n_sites,
    int64_t n, int inputs, bool back, bool all_logits)
{
    struct arena scratch = {0};
    struct plan plan;
    struct err e;
    struct estimate out = {0};
    int64_t *offset = arena_array(&scratch, (size_t)inputs + 1, sizeof *offset, &e);
    for (int i = 0; offset && i <= inputs; i++)
        offset[i] = n * i;
    if (offset && !plan_init(&plan, cfg, &scratch, &e)) {
        if (back)
            backward_plan(&plan, cfg);
        plan.logits = all_logits ? LOGITS_ALL : LOGITS_NONE;
        for (int i = 0; i < n_sites; i++)
            plan_keep(&plan, sites[i], -1);
        out = plan_estimate(&plan, cfg, &(struct batch){NULL, offset, inputs});
    }
    arena_release(&scratch);
    return out;
}

struct estimate cost_pass(
    const struct config *cfg, const enum site *sites, int n_sites, int64_t n, int inputs)
{
    return pass(cfg, sites, n_sites, n, inputs, false, false);
}

struct estimate cost_back(const struct config *cfg, int64_t n, int inputs, bool all_logits)
{
    struct estimate there = pass(cfg, NULL, 0, n, inputs, true, all_logits);
    const double T = (double)n * inputs, C = cfg->d_model, F = cfg->d_mlp, V = (double)cfg->vocab;
    /* Gradients of one layer, attention of one input head by head, a chunk of logits. */
    const double chunk = T * V < (double)(8 << 20) ? T * V : 16 * V + (double)(8 << 20);
    const uint64_t back =
        (uint64_t)(4 * (T * (16 * C + 3 * F) + 5.0 * cfg->n_head * (double)n * (double)n + chunk));
    return (struct estimate){
        .scratch_bytes =
            there.keep_bytes + (there.scratch_bytes > back ? there.scratch_bytes : back),
        .flops = 3 * there.flops};
}

uint64_t cost_lanes(const struct config *cfg, bool is_gathered)
{
    const double C = cfg->d_model, F = cfg->d_mlp, V = (double)cfg->vocab;
    const double chunk = V * 1024 < (1 << 22) ? V * 1024 : (1 << 22);
    return (uint64_t)(4 * (1024 * 6 * C + 384 * F + (is_gathered ? 0 : chunk)));
}

bool cost_is_gathered(const char *metric)
{
    return !strncmp(metric, "logit_", 6) || !strcmp(metric, "logit");
}

double cost_share(const struct ctx *ctx)
{
    return ctx->pairs ? 0.5 : 1;
}

int64_t cost_first(const struct ctx *ctx)
{
    int64_t t = 0;
    if (!ctx->pairs)
        return 0;
    const struct pair *p = &ctx->pairs[ctx->asked / 2];
    if (!p->clean || !p->corrupt)
        return 0;
    while (t < p->clean->n && t < p->corrupt->n && p->clean->tokens[t] == p->corrupt->tokens[t])
        t++;
    return t < p->clean->n ? t : 0;
}
