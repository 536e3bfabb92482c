#include "model/config.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/core/json.h"

static const char *const act_names[ACT_COUNT] = {
#define X(id, name) [ACT_##id] = name,
    ACTS(X)
#undef X
};

static const struct {
    const char *name;
    enum act act;
} act_aliases[] = {
    {"gelu_pytorch_tanh", ACT_GELU_NEW},
    {"gelu_python_tanh", ACT_GELU_NEW},
    {"gelu_accurate", ACT_GELU_NEW},
    {"gelu_python", ACT_GELU},
    {"swish", ACT_SILU},
};

/* In ACT2FN, but with weights of their own that a GPT-2 file keeps as h.N.mlp.act.*. */
static const char *const acts_with_weights[] = {"prelu", "xielu"};

const char *act_name(enum act a)
{
    return act_names[a];
}

int act_parse(enum act *out, const char *name, struct err *e)
{
    for (int i = 0; i < ACT_COUNT; i++)
        if (!strcmp(name, act_names[i])) {
            *out = (enum act)i;
            return 0;
        }
    for (size_t i = 0; i < sizeof act_aliases / sizeof *act_aliases; i++)
        if (!strcmp(name, act_aliases[i].name)) {
            *out = act_aliases[i].act;
            return 0;
        }
    for (size_t i = 0; i < sizeof acts_with_weights / sizeof *acts_with_weights; i++)
        if (!strcmp(name, acts_with_weights[i]))
            return err_set(e, ERR_INPUT,
                "activation_function '%s' has trained weights of its own, which sonde does not "
                "run; "
                "only activations without parameters are",
                name);
    char list[512];
    size_t n = 0;
    for (int i = 0; i < ACT_COUNT; i++)
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", act_names[i]);
    for (size_t i = 0; i < sizeof act_aliases / sizeof *act_aliases; i++)
        n += (size_t)snprintf(list + n, sizeof list - n, ", %s", act_aliases[i].name);
    return err_set(e, ERR_INPUT, "unknown activation_function '%s'; known: %s", name, list);
}

/* One integer key: absent or null takes `def`; def < 0 means that it must be there. */
struct int_key {
    const char *name;
    int64_t *to, def, min, max;
};

static int read_int(const struct js *j, const struct int_key *k, const char *where, struct err *e)
{
    const struct js *v = js_get(j, k->name);
    enum js_kind kind = js_kind(v);
    if (kind == JS_ABSENT || kind == JS_NULL) {
        if (k->def < 0)
            return err_set(e, ERR_INPUT, "%s: %s is missing", where, k->name);
        *k->to = k->def;
        return 0;
    }
    double d;
    if (!js_real(&d, v))
        return err_set(
            e, ERR_INPUT, "%s: %s is %s, not an integer", where, k->name, js_kind_name(kind));
    if (!(d >= (double)k->min && d <= (double)k->max) || d != floor(d))
        return err_set(e, ERR_INPUT,
            "%s: %s is %.17g; it must be an integer from %" PRId64 " to %" PRId64, where, k->name,
            d, k->min, k->max);
    *k->to = (int64_t)d;
    return 0;
}

static int read_bool(
    bool *out, const struct js *j, const char *name, bool def, const char *where, struct err *e)
{
    const struct js *v = js_get(j, name);
    enum js_kind kind = js_kind(v);
    *out = def;
    if (kind == JS_ABSENT || kind == JS_NULL || js_bool(out, v))
        return 0;
    return err_set(
        e, ERR_INPUT, "%s: %s is %s, not true or false", where, name, js_kind_name(kind));
}

/* A token id below the vocabulary; -1 for null, a list, or an id that the model does not have. */
static int64_t read_id(const struct js *j, const char *name, int64_t vocab)
{
    int64_t id;
    return js_int(&id, js_get(j, name)) && id >= 0 && id < vocab ? id : -1;
}

static int read_kind(const struct js *j, const char *where, struct err *e)
{
    const struct js *v = js_get(j, "model_type");
    if (js_kind(v) == JS_ABSENT || js_is(v, "gpt2"))
        return 0;
    const char *s = js_string(v, NULL);
    return err_set(e, ERR_INPUT, "%s: model_type is %s%.40s%s; sonde runs GPT-2 models (gpt2)",
        where, s ? "'" : "", s ? s : js_kind_name(js_kind(v)), s ? "'" : "");
}

static int read_sizes(struct config *c, const struct js *j, const char *where, struct err *e)
{
    int64_t layers, heads, width, inner, positions, ctx;
    const struct int_key keys[] = {
        {"n_layer", &layers, -1, 1, CONFIG_MAX_LAYERS},
        {"n_head", &heads, -1, 1, CONFIG_MAX_WIDTH},
        {"n_embd", &width, -1, 1, CONFIG_MAX_WIDTH},
        {"n_inner", &inner, 0, 1, CONFIG_MAX_WIDTH},
        {"n_positions", &positions, 0, 1, CONFIG_MAX_WIDTH},
        {"n_ctx", &ctx, 0, 1, CONFIG_MAX_WIDTH},
        {"vocab_size", &c->vocab, -1, 1, CONFIG_MAX_VOCAB},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        int rc = read_int(j, &keys[i], where, e);
        if (rc)
            return rc;
    }
    if (width % heads)
        return err_set(e, ERR_INPUT, "%s: n_embd %" PRId64 " is not divisible by n_head %" PRId64,
            where, width, heads);
    if (!positions && !ctx)
        return err_set(e, ERR_INPUT, "%s: n_positions is missing", where);
    if (!inner && width > CONFIG_MAX_WIDTH / 4)
        return err_set(e, ERR_INPUT, "%s: n_embd %" PRId64 " is too large for n_inner = 4 n_embd",
            where, width);
    c->n_layer = (int)layers;
    c->n_head = (int)heads;
    c->d_model = (int)width;
    c->d_head = (int)(width / heads);
    c->d_mlp = (int)(inner ? inner : 4 * width);
    /* Where both are given, transformers reads n_positions. */
    c->n_ctx = (int)(positions ? positions : ctx);
    return 0;
}

static int read_ln(struct config *c, const struct js *j, const char *where, struct err *e)
{
    const struct js *v = js_get(j, "layer_norm_epsilon");
    enum js_kind kind = js_kind(v);
    c->ln = LN_TRUE;
    c->ln_gain = 1;
    c->ln_eps = 1e-5;
    if (kind == JS_ABSENT || kind == JS_NULL)
        return 0;
    if (!js_real(&c->ln_eps, v))
        return err_set(
            e, ERR_INPUT, "%s: layer_norm_epsilon is %s, not a number", where, js_kind_name(kind));
    if (!(c->ln_eps >= 0 && c->ln_eps <= 1e30))
        return err_set(e, ERR_INPUT, "%s: layer_norm_epsilon is %g; it must be from 0 to 1e30",
            where, c->ln_eps);
    c->ln_eps_given = true;
    return 0;
}

/* It only matters to a model that is made new: what is not a sensible number is no error. */
static void read_init(struct config *c, const struct js *j)
{
    double std;
    if (js_real(&std, js_get(j, "initializer_range")) && std > 0 && std <= 100)
        c->init_std = std;
}

static int read_flags(struct config *c, const struct js *j, const char *where, struct err *e)
{
    bool cross, upcast;
    const struct {
        const char *name;
        bool *to, def;
    } flags[] = {
        {"scale_attn_weights", &c->scale_attn_weights, true},
        {"scale_attn_by_inverse_layer_idx", &c->scale_attn_by_layer, false},
        {"tie_word_embeddings", &c->tied, true},
        {"reorder_and_upcast_attn", &upcast, false}, /* scores are fp32 here anyway */
        {"add_cross_attention", &cross, false},
    };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        int rc = read_bool(flags[i].to, j, flags[i].name, flags[i].def, where, e);
        if (rc)
            return rc;
    }
    if (cross)
        return err_set(e, ERR_INPUT,
            "%s: add_cross_attention is true; sonde runs decoders without an encoder", where);
    const struct js *v = js_get(j, "activation_function");
    c->act = ACT_GELU_NEW;
    if (js_kind(v) == JS_ABSENT)
        return 0;
    size_t n;
    const char *s = js_string(v, &n);
    if (!s)
        return err_set(e, ERR_INPUT, "%s: activation_function is %s, not a string", where,
            js_kind_name(js_kind(v)));
    char name[64];
    snprintf(name, sizeof name, "%.63s", strlen(s) == n ? s : "");
    int rc = act_parse(&c->act, name, e);
    if (rc)
        err_prefix(e, "%s", where);
    return rc;
}

int config_parse(struct config *out, const char *json, size_t n, const char *where, struct err *e)
{
    struct js *j;
    int rc = js_parse(&j, json, n, JS_BIG_INTS, where, e);
    if (rc)
        return rc;
    struct config c = {0};
    if (js_kind(j) != JS_OBJECT)
        rc = err_set(e, ERR_INPUT, "%s: %s, not an object", where, js_kind_name(js_kind(j)));
    if (!rc)
        rc = read_kind(j, where, e);
    if (!rc)
        rc = read_sizes(&c, j, where, e);
    if (!rc)
        rc = read_ln(&c, j, where, e);
    if (!rc)
        rc = read_flags(&c, j, where, e);
    if (!rc) {
        read_init(&c, j);
        c.bos_id = read_id(j, "bos_token_id", c.vocab);
        c.eos_id = read_id(j, "eos_token_id", c.vocab);
        *out = c;
    }
    js_release(&j);
    return rc;
}

static void put_int(struct js_out *w, const char *key, int64_t v)
{
    js_out_key(w, key);
    js_out_int(w, v);
}

static void put_text(struct js_out *w, const char *key, const char *s)
{
    js_out_key(w, key);
    js_out_text(w, s);
}

static void put_bool(struct js_out *w, const char *key, bool v)
{
    js_out_key(w, key);
    js_out_bool(w, v);
}

char *config_write(const struct config *c, struct arena *arena, struct err *e)
{
    struct js_out w = {0};
    js_out_begin(&w, '{');
    put_text(&w, "model_type", "gpt2");
    js_out_key(&w, "architectures");
    js_out_begin(&w, '[');
    js_out_text(&w, "GPT2LMHeadModel");
    js_out_end(&w, ']');
    put_text(&w, "activation_function", act_name(c->act));
    put_int(&w, "n_layer", c->n_layer);
    put_int(&w, "n_head", c->n_head);
    put_int(&w, "n_embd", c->d_model);
    put_int(&w, "n_inner", c->d_mlp);
    put_int(&w, "n_positions", c->n_ctx);
    put_int(&w, "n_ctx", c->n_ctx);
    put_int(&w, "vocab_size", c->vocab);
    double eps = c->ln_eps;
    if (c->ln == LN_LINEAR)
        eps = c->ln_gain > 1 ? c->ln_gain * c->ln_gain : 1e12;
    js_out_key(&w, "layer_norm_epsilon");
    js_out_real(&w, eps, 17);
    put_bool(&w, "scale_attn_weights", c->scale_attn_weights);
    put_bool(&w, "scale_attn_by_inverse_layer_idx", c->scale_attn_by_layer);
    put_bool(&w, "tie_word_embeddings", c->tied);
    if (c->init_std > 0) {
        js_out_key(&w, "initializer_range");
        js_out_real(&w, c->init_std, 17);
    }
    if (c->bos_id >= 0)
        put_int(&w, "bos_token_id", c->bos_id);
    if (c->eos_id >= 0)
        put_int(&w, "eos_token_id", c->eos_id);
    js_out_end(&w, '}');
    js_out_newline(&w);
    char *s = js_out_done(&w, e) ? NULL : arena_strndup(arena, w.data, w.n, e);
    js_out_release(&w);
    return s;
}
