#include "model/sites.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/core/param.h"

/* Names of other libraries for the same activations, after the block prefix is taken off. */
static const struct {
    const char *name;
    enum site site;
} aliases[] = {
    /* TransformerLens 3 (bridge) */
    {"embed.hook_out", SITE_EMBED},
    {"pos_embed.hook_out", SITE_POS_EMBED},
    {"hook_in", SITE_RESID_PRE},
    {"hook_out", SITE_RESID_POST},
    {"ln1.hook_out", SITE_LN1_NORM},
    {"ln2.hook_out", SITE_LN2_NORM},
    {"ln_final.hook_out", SITE_LNF_NORM},
    {"attn.q.hook_out", SITE_Q},
    {"attn.k.hook_out", SITE_K},
    {"attn.v.hook_out", SITE_V},
    {"attn.o.hook_in", SITE_Z},
    {"attn.hook_out", SITE_ATTN_OUT},
    {"mlp.in.hook_out", SITE_MLP_PRE},
    {"mlp.out.hook_in", SITE_MLP_POST},
    {"mlp.hook_out", SITE_MLP_OUT},
    /* Hugging Face module paths: the module's output */
    {"wte", SITE_EMBED},
    {"wpe", SITE_POS_EMBED},
    {"", SITE_RESID_POST},
    {"ln_1", SITE_LN1_NORM},
    {"ln_2", SITE_LN2_NORM},
    {"ln_f", SITE_LNF_NORM},
    {"attn", SITE_ATTN_OUT},
    {"attn.c_proj", SITE_ATTN_OUT},
    {"mlp", SITE_MLP_OUT},
    {"mlp.c_fc", SITE_MLP_PRE},
    {"mlp.act", SITE_MLP_POST},
    {"mlp.c_proj", SITE_MLP_OUT},
};

/* Words of TransformerLens' get_act_name shorthands beside the brief names. */
static const struct {
    const char *name;
    enum site site;
} words[] = {
    {"query", SITE_Q},
    {"key", SITE_K},
    {"value", SITE_V},
    {"attn", SITE_PATTERN},
    {"attn_logits", SITE_SCORES},
    {"scores", SITE_SCORES},
    {"mlp_pre", SITE_MLP_PRE},
    {"mlp_mid", SITE_MLP_POST},
    {"mlp_post", SITE_MLP_POST},
};

bool site_of_word(enum site *out, const char *w, size_t n)
{
    for (int s = 0; s < SITE_COUNT; s++) {
        const char *brief = site_info((enum site)s)->brief;
        if (strlen(brief) == n && !strncmp(brief, w, n)) {
            *out = (enum site)s;
            return true;
        }
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i].name) == n && !strncmp(words[i].name, w, n)) {
            *out = words[i].site;
            return true;
        }
    return false;
}

/* "blocks.5." / "transformer.h.5." / "h.5": the layer, and where the rest begins. */
static const char *block_prefix(int *layer, const char *name, bool *is_hf)
{
    static const struct {
        const char *prefix;
        bool is_hf;
    } prefixes[] = {{"blocks.", false}, {"transformer.h.", true}, {"h.", true}};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t n = strlen(prefixes[i].prefix);
        if (strncmp(name, prefixes[i].prefix, n) || !isdigit((unsigned char)name[n]))
            continue;
        char *end;
        long l = strtol(name + n, &end, 10);
        if (*end && *end != '.')
            continue;
        *layer = l > 1 << 20 ? 1 << 20 : (int)l;
        *is_hf = prefixes[i].is_hf;
        return *end == '.' ? end + 1 : end;
    }
    return NULL;
}

static bool parse_long(enum site *out, int *layer, const char *name)
{
    bool is_hf = false;
    const char *rest = block_prefix(layer, name, &is_hf);
    bool in_block = rest != NULL;
    if (!in_block)
        rest = strncmp(name, "transformer.", 12) ? name : name + 12;
    for (int s = 0; s < SITE_COUNT; s++) {
        const struct site_info *info = site_info((enum site)s);
        if (info->per_layer == in_block && !strcmp(rest, info->name)) {
            *out = (enum site)s;
            return true;
        }
    }
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (site_info(aliases[i].site)->per_layer == in_block && !strcmp(rest, aliases[i].name) &&
            (*rest || is_hf)) {
            *out = aliases[i].site;
            return true;
        }
    return false;
}

/* k6, pre5, resid_pre3, scale4ln1, normalized4ln2, embed */
static bool parse_short(enum site *out, int *layer, const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz_");
    if (!name[n])
        return site_of_word(out, name, n) && !site_info(*out)->per_layer;
    if (!isdigit((unsigned char)name[n]))
        return site_of_word(out, name, strlen(name)) && !site_info(*out)->per_layer;
    char *end;
    long l = strtol(name + n, &end, 10);
    *layer = l > 1 << 20 ? 1 << 20 : (int)l;
    if (!*end)
        return site_of_word(out, name, n) && site_info(*out)->per_layer;
    bool is_scale = n == 5 && !strncmp(name, "scale", 5);
    bool is_norm = n == 10 && !strncmp(name, "normalized", 10);
    if ((!is_scale && !is_norm) || (strcmp(end, "ln1") && strcmp(end, "ln2")))
        return false;
    if (end[2] == '1')
        *out = is_scale ? SITE_LN1_SCALE : SITE_LN1_NORM;
    else
        *out = is_scale ? SITE_LN2_SCALE : SITE_LN2_NORM;
    return true;
}

static int unknown(const char *name, const struct config *cfg, struct err *e)
{
    enum { MAX = SITE_COUNT * 2 };
    char full[MAX][64];
    const char *list[MAX], *best[3] = {"", "", ""};
    int layer = 0, n = 0;
    bool is_hf;
    if (!block_prefix(&layer, name, &is_hf) || layer >= cfg->n_layer)
        layer = 0;
    for (int s = 0; s < SITE_COUNT; s++) {
        site_full_name(full[n], sizeof full[n], (enum site)s, layer);
        list[n] = full[n];
        n++;
        list[n] = site_info((enum site)s)->brief;
        n++;
    }
    for (int s = 0; s < SITE_COUNT; s++)
        if (site_info((enum site)s)->per_layer && !strcmp(name, site_info((enum site)s)->brief))
            return err_set(
                e, ERR_USAGE, "%.80s is in every layer; name one, as in L0.%.80s", name, name);
    int k = nearest_names(best, 3, name, list, n);
    return err_set(e, ERR_USAGE, "no hook is named \"%.80s\"; nearest: %s%s%s%s%s", name, best[0],
        k > 1 ? ", " : "", best[1], k > 2 ? ", " : "", best[2]);
}

int site_parse(
    enum site *out, int *layer, const char *name, const struct config *cfg, struct err *e)
{
    int l = -1;
    if (!parse_long(out, &l, name) && !parse_short(out, &l, name))
        return unknown(name, cfg, e);
    if (site_info(*out)->per_layer && (l < 0 || l >= cfg->n_layer))
        return err_set(e, ERR_USAGE, "%.80s: the model has layers 0 to %d", name, cfg->n_layer - 1);
    *layer = site_info(*out)->per_layer ? l : -1;
    return 0;
}
