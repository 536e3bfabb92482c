#include "model/lnfree.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* "h.3.ln_2" for norm 2 * 3 + 1, "ln_f" for the last, 2 L. */
static void norm_name(char out[32], const struct config *cfg, int i)
{
    if (i == 2 * cfg->n_layer)
        snprintf(out, 32, "ln_f");
    else
        snprintf(out, 32, "h.%d.ln_%d", i / 2, i % 2 + 1);
}

static const struct weight *norm_tensor(const struct weights *w, const char *norm, const char *what)
{
    char name[96];
    snprintf(name, sizeof name, "%s.%s", norm, what);
    return weights_find(w, name);
}

static bool has_buffers(const struct weights *w)
{
    static const char end[] = ".average_std_buffer";
    for (int i = 0; i < weights_count(w); i++) {
        const char *name = weights_at(w, i)->name;
        size_t n = strlen(name);
        if (n >= sizeof end && !strcmp(name + n - (sizeof end - 1), end))
            return true;
    }
    return false;
}

/* One number out of a tensor of any small dtype, element `at`. */
static int read_one(
    double *out, const struct weights *w, const struct weight *t, int64_t at, struct err *e)
{
    unsigned char b[8] = {0};
    float f;
    size_t size = dtype_bytes(t->dtype);
    if (at >= dims_count(t->dim, t->rank))
        return err_set(e, ERR_INPUT, "%s: tensor '%s' has no element %" PRId64, weights_path(w, t),
            t->name, at);
    if (t->dtype == DT_F32 || t->dtype == DT_F16 || t->dtype == DT_BF16) {
        int rc = weights_read_f32(w, t, at, 1, &f, e);
        *out = (double)f;
        return rc;
    }
    int rc = weights_read(w, t, (uint64_t)at * size, size, b, e);
    *out = 0;
    for (size_t i = 0; i < size; i++)
        *out += b[i]; /* flags: zero or not */
    return rc;
}

static int read_flag(
    bool *out, const struct weights *w, const char *norm, const char *what, bool def, struct err *e)
{
    const struct weight *t = norm_tensor(w, norm, what);
    double v;
    *out = def;
    if (!t)
        return 0;
    int rc = read_one(&v, w, t, 0, e);
    *out = v != 0;
    return rc;
}

/* Rule 1. */
static int detect_buffers(
    struct config *cfg, char *note, size_t n, const struct weights *w, struct err *e)
{
    int real = 0, norms = 2 * cfg->n_layer + 1;
    char first[32] = "";
    for (int i = 0; i < norms; i++) {
        char norm[32];
        bool fake, v_fake = true, bos;
        norm_name(norm, cfg, i);
        int rc = read_flag(&fake, w, norm, "is_fake", true, e);
        if (!rc && i % 2 == 0 && i < norms - 1)
            rc = read_flag(&v_fake, w, norm, "attn_v_is_fake", true, e);
        if (!rc)
            rc = read_flag(&bos, w, norm, "bos_special_treatment", false, e);
        if (rc)
            return rc;
        if (bos && fake)
            return err_set(e, ERR_INPUT,
                "%s.bos_special_treatment is true: this norm treats position 0 apart, which is no "
                "linear model; export the checkpoint with one scale a norm",
                norm);
        if (!(fake && v_fake) && !real++)
            snprintf(first, sizeof first, "%s", norm);
    }
    if (real == norms) {
        snprintf(note, n, "a training checkpoint with every layer norm still in place");
        return 0;
    }
    if (real)
        return err_set(e, ERR_INPUT,
            "layer norms are partially removed: %d of %d are still real (the first is %s); only "
            "checkpoints with all or none removed can be run",
            real, norms, first);
    cfg->ln = LN_LINEAR;
    cfg->ln_gain = 0;
    snprintf(note, n, "LN-free (raw training checkpoint, one scale a norm)");
    return 0;
}

/* Whether most |gamma| over all norms are above 1e3, and whether all of ln_1 and ln_2 are exactly
 * 1e6 and 0 (folded into the next matrix). */
static int look_at_gammas(
    bool *big, bool *folded, const struct config *cfg, const struct weights *w, struct err *e)
{
    int64_t above = 0, C = cfg->d_model, norms = 2 * (int64_t)cfg->n_layer + 1;
    struct arena arena = {0};
    float *v = arena_array(&arena, (size_t)C, sizeof *v, e);
    int rc = v ? 0 : ERR_LIMIT;
    *folded = true;
    for (int i = 0; !rc && i < norms; i++) {
        char norm[32];
        norm_name(norm, cfg, i);
        for (int bias = 0; !rc && bias < 2; bias++) {
            const char *what = bias ? "bias" : "weight";
            rc = weights_read_f32(w, norm_tensor(w, norm, what), 0, C, v, e);
            for (int64_t k = 0; !rc && k < C; k++) {
                above += !bias && fabsf(v[k]) > 1e3f;
                if (i < norms - 1 && v[k] != (bias ? 0.0f : 1e6f))
                    *folded = false;
            }
        }
    }
    *big = 2 * above > norms * C;
    arena_release(&arena);
    return rc;
}

int lnfree_detect(struct config *cfg, char *note, size_t n, const struct weights *w, struct err *e)
{
    bool big, folded;
    if (n)
        *note = '\0';
    if (has_buffers(w))
        return detect_buffers(cfg, note, n, w, e);
    int rc = look_at_gammas(&big, &folded, cfg, w, e);
    if (rc)
        return rc;
    bool large_eps = cfg->ln_eps >= 1;
    if (large_eps && !big)
        return err_set(e, ERR_INPUT,
            "layer_norm_epsilon %g marks an LN-free model, but its layer norm weights are not "
            "scaled "
            "to match (most are below 1e3); config.json and weights do not belong together",
            cfg->ln_eps);
    if (!large_eps && big && cfg->ln_eps_given)
        return err_set(e, ERR_INPUT,
            "most layer norm weights are above 1e3, as in an LN-free model, but "
            "layer_norm_epsilon is %g instead of 1e12; config.json and weights do not belong "
            "together",
            cfg->ln_eps);
    if (!big)
        return 0;
    cfg->ln = LN_LINEAR;
    cfg->ln_gain = large_eps ? sqrt(cfg->ln_eps) : 1e6;
    snprintf(note, n, "LN-free (eps %g, gain %g%s)%s", large_eps ? cfg->ln_eps : 1e12, cfg->ln_gain,
        folded ? ", ln_1 and ln_2 folded into the next matrices" : "",
        large_eps ? "" : "; warning: config.json has no layer_norm_epsilon, 1e12 assumed");
    return 0;
}

int lnfree_scale(float *gamma, const struct config *cfg, const struct weights *w, const char *name,
    int64_t count, struct err *e)
{
    double scale = cfg->ln_gain;
    if (scale == 0) {
        char norm[48];
        snprintf(norm, sizeof norm, "%.*s", (int)(strlen(name) - strlen(".weight")), name);
        const struct weight *t = norm_tensor(w, norm, "average_std_buffer");
        if (!t)
            return err_set(e, ERR_INPUT, "tensor '%s.average_std_buffer' is missing", norm);
        /* Index 0 was reserved for the first position in older recipes. */
        int rc = read_one(&scale, w, t, dims_count(t->dim, t->rank) > 1, e);
        if (rc)
            return rc;
        if (!(scale > 0 && isfinite(scale)))
            return err_set(e, ERR_INPUT, "tensor '%s' holds %g, which is no standard deviation",
                t->name, scale);
    }
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(gamma[i]))
            return err_set(e, ERR_INPUT,
                "tensor '%s' is not finite (F16 cannot hold the weights of an LN-free model; use "
                "BF16 or F32)",
                name);
        gamma[i] = (float)((double)gamma[i] / scale);
    }
    return 0;
}
