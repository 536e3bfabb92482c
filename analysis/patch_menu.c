#include "analysis/patch_menu.h"

#include <stdio.h>
#include <string.h>

#include "model/core/param.h"

#define ONE(NAME, SITE, FORM, LONG)                                                                \
    {                                                                                              \
        NAME, 1, {{SITE_##SITE, FORM_##FORM, NULL}}, LONG                                          \
    }

/* Where two names stand for one sweep, the first is ours and the second TransformerLens'. */
static const struct patch_menu menu[] = {
    ONE("resid_pre", RESID_PRE, POS, "the residual stream before a layer"),
    ONE("resid_mid", RESID_MID, POS, "the residual stream between attention and MLP"),
    ONE("resid_post", RESID_POST, POS, "the residual stream behind a layer"),
    ONE("attn_out", ATTN_OUT, POS, "the output of attention"),
    ONE("mlp_out", MLP_OUT, POS, "the output of the MLP"),
    ONE("head_z", Z, HEAD, "a head's output at every position"),
    ONE("head_q", Q, HEAD, "a head's queries at every position"),
    ONE("head_k", K, HEAD, "a head's keys at every position"),
    ONE("head_v", V, HEAD, "a head's values at every position"),
    ONE("head_pattern", PATTERN, HEAD, "a head's whole attention pattern"),
    ONE("head_z_by_pos", Z, HEAD_POS, "a head's output"),
    ONE("head_q_by_pos", Q, HEAD_POS, "a head's query"),
    ONE("head_k_by_pos", K, HEAD_POS, "a head's key"),
    ONE("head_v_by_pos", V, HEAD_POS, "a head's value"),
    ONE("head_pattern_by_pos", PATTERN, DEST, "a row of a head's attention pattern"),
    ONE("head_pattern_dest_src_pos", PATTERN, DEST_SRC, "an entry of a head's attention pattern"),
    ONE("neuron", MLP_POST, UNIT, "a neuron at every position"),
    ONE("neuron_by_pos", MLP_POST, UNIT_POS, "a neuron"),
    ONE("attn_head_out_all_pos", Z, HEAD, "a head's output at every position"),
    ONE("attn_head_q_all_pos", Q, HEAD, "a head's queries at every position"),
    ONE("attn_head_k_all_pos", K, HEAD, "a head's keys at every position"),
    ONE("attn_head_v_all_pos", V, HEAD, "a head's values at every position"),
    ONE("attn_head_pattern_all_pos", PATTERN, HEAD, "a head's whole attention pattern"),
    ONE("attn_head_out_by_pos", Z, HEAD_POS, "a head's output"),
    ONE("attn_head_q_by_pos", Q, HEAD_POS, "a head's query"),
    ONE("attn_head_k_by_pos", K, HEAD_POS, "a head's key"),
    ONE("attn_head_v_by_pos", V, HEAD_POS, "a head's value"),
    ONE("attn_head_pattern_by_pos", PATTERN, DEST, "a row of a head's attention pattern"),
    ONE("attn_head_pattern_dest_src_pos", PATTERN, DEST_SRC,
        "an entry of a head's attention pattern"),
    {"attn_head_all_pos_every", 5,
        {{SITE_Z, FORM_HEAD, "z"}, {SITE_Q, FORM_HEAD, "q"}, {SITE_K, FORM_HEAD, "k"},
            {SITE_V, FORM_HEAD, "v"}, {SITE_PATTERN, FORM_HEAD, "pattern"}},
        "an activation of a head at every position"},
    {"attn_head_by_pos_every", 5,
        {{SITE_Z, FORM_HEAD_POS, "z"}, {SITE_Q, FORM_HEAD_POS, "q"}, {SITE_K, FORM_HEAD_POS, "k"},
            {SITE_V, FORM_HEAD_POS, "v"}, {SITE_PATTERN, FORM_EVERY_DEST, "pattern"}},
        "an activation of a head"},
    {"block_every", 3,
        {{SITE_RESID_PRE, FORM_POS, "resid_pre"}, {SITE_ATTN_OUT, FORM_POS, "attn_out"},
            {SITE_MLP_OUT, FORM_POS, "mlp_out"}},
        "an activation of a layer"},
};
enum { N_MENU = sizeof menu / sizeof *menu };
_Static_assert(N_MENU <= MENU_MOST, "a list may name them all");

/* Names as TransformerLens writes its functions and as people shorten them. */
static const struct {
    const char *prefix, *instead;
} spellings[] = {{"get_act_patch_", ""}, {"head_out", "head_z"}, {"head_z_all_pos", "head_z"},
    {"head_q_all_pos", "head_q"}, {"head_k_all_pos", "head_k"}, {"head_v_all_pos", "head_v"},
    {"head_pattern_all_pos", "head_pattern"}};

static void respell(char *name, size_t room)
{
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        const size_t n = strlen(spellings[i].prefix);
        char rest[64];
        if (strncmp(name, spellings[i].prefix, n) != 0)
            continue;
        snprintf(rest, sizeof rest, "%s", name + n);
        snprintf(name, room, "%.30s%.32s", spellings[i].instead, rest);
    }
}

static int unknown(const char *name, struct err *e)
{
    const char *names[N_MENU], *near[3];
    for (int i = 0; i < N_MENU; i++)
        names[i] = menu[i].name;
    int n = nearest_names(near, 3, name, names, N_MENU);
    return err_set(e, ERR_USAGE,
        "--site: nothing to patch is called \"%.60s\"; nearest: %s%s%s%s%s", name,
        n > 0 ? near[0] : names[0], n > 1 ? ", " : "", n > 1 ? near[1] : "", n > 2 ? ", " : "",
        n > 2 ? near[2] : "");
}

int patch_menu_parse(
    const struct patch_menu **out, int *n, int max, const char *list, struct err *e)
{
    *n = 0;
    for (const char *at = list;; at++) {
        char name[64];
        const size_t length = strcspn(at, ",");
        const struct patch_menu *found = NULL;
        snprintf(name, sizeof name, "%.*s", (int)(length < 63 ? length : 63), at);
        respell(name, sizeof name);
        for (int i = 0; i < N_MENU && !found; i++)
            if (!strcmp(menu[i].name, name))
                found = &menu[i];
        if (!found)
            return unknown(name, e);
        for (int i = 0; i < *n; i++)
            if (out[i] == found)
                return err_set(e, ERR_USAGE, "--site: %s is named twice", found->name);
        if (*n == max)
            return err_set(e, ERR_USAGE, "--site: at most %d sites in a run", max);
        out[(*n)++] = found;
        at += length;
        if (!*at)
            return 0;
    }
}

/* How the axes behind the layer are called; 'P' pos, 'H' head, 'D' dest, 'S' src, 'N' neuron. */
static const char *const letters[] = {
    [FORM_POS] = "P",
    [FORM_HEAD] = "H",
    [FORM_HEAD_POS] = "PH",
    [FORM_DEST] = "HD",
    [FORM_EVERY_DEST] = "DH",
    [FORM_DEST_SRC] = "HDS",
    [FORM_UNIT] = "N",
    [FORM_UNIT_POS] = "PN",
};

static struct axis axis_of(char letter, const struct config *cfg, int64_t T)
{
    switch (letter) {
    case 'H':
        return (struct axis){"head", AXIS_HEAD, cfg->n_head, NULL};
    case 'N':
        return (struct axis){"neuron", AXIS_NEURON, cfg->d_mlp, NULL};
    case 'D':
        return (struct axis){"dest_pos", AXIS_POS, T, NULL};
    case 'S':
        return (struct axis){"src_pos", AXIS_POS, T, NULL};
    default:
        return (struct axis){"pos", AXIS_POS, T, NULL};
    }
}

int patch_menu_forms(enum patch_form out[MENU_MOST * MENU_PARTS], const char *list)
{
    const struct patch_menu *sweep[MENU_MOST];
    int sweeps = 0, n = 0;
    struct err e;
    if (patch_menu_parse(sweep, &sweeps, MENU_MOST, list, &e))
        return 0;
    for (int i = 0; i < sweeps; i++)
        for (int k = 0; k < sweep[i]->n_parts; k++)
            out[n++] = sweep[i]->part[k].form;
    return n;
}

double patch_form_rows(enum patch_form f, double D)
{
    return f == FORM_HEAD || f == FORM_UNIT ? D : (D + 1) / 2;
}

int patch_form_axes(struct axis *out, enum patch_form f, const struct config *cfg, int64_t T)
{
    int n = 0;
    out[n++] = (struct axis){"layer", AXIS_LAYER, cfg->n_layer, NULL};
    for (const char *l = letters[f]; *l; l++)
        out[n++] = axis_of(*l, cfg, T);
    return n;
}

int64_t patch_form_cells(enum patch_form f, const struct config *cfg, int64_t T)
{
    int64_t n = 1;
    for (const char *l = letters[f]; *l; l++)
        n *= axis_of(*l, cfg, T).size;
    return n;
}

/* Cells behind the position's axis for each of its indices; *n_before: in front of it. 0: none. */
static int64_t behind_pos(int64_t *n_before, enum patch_form f, const struct config *cfg, int64_t T)
{
    const char *l = letters[f];
    int64_t behind = 1;
    *n_before = 1;
    for (; *l && *l != 'P' && *l != 'D'; l++)
        *n_before *= axis_of(*l, cfg, T).size;
    if (!*l)
        return 0;
    while (*++l)
        behind *= axis_of(*l, cfg, T).size;
    return behind;
}

bool patch_menu_has_pos(const struct patch_menu *m)
{
    return strpbrk(letters[m->part[0].form], "PD") != NULL;
}

int64_t patch_form_cells_at(enum patch_form f, const struct config *cfg, int64_t T)
{
    int64_t before, behind = behind_pos(&before, f, cfg, T);
    return before * behind;
}

int64_t patch_form_cell_at(
    enum patch_form f, const struct config *cfg, int64_t T, int64_t pos, int64_t i)
{
    int64_t before, behind = behind_pos(&before, f, cfg, T);
    const int64_t per = before * behind, in = i % per;
    return i / per * per * T + (in / behind * T + pos) * behind + in % behind;
}

void patch_form_cell(struct patch_cell *out, int64_t *at, enum site s, enum patch_form f,
    const struct config *cfg, int64_t T, int64_t i)
{
    const int64_t per = patch_form_cells(f, cfg, T);
    int64_t rest = i % per;
    *out = (struct patch_cell){.site = s,
        .layer = (int)(cfg->n_layer - 1 - i / per),
        .head = -1,
        .unit = -1,
        .pos = -1,
        .key = -1};
    out->layer_end = out->layer + 1;
    *at = out->layer * per + rest;
    for (int k = (int)strlen(letters[f]) - 1; k >= 0; k--) {
        const int64_t size = axis_of(letters[f][k], cfg, T).size, x = rest % size;
        rest /= size;
        switch (letters[f][k]) {
        case 'H':
            out->head = (int)x;
            break;
        case 'N':
            out->unit = (int)x;
            break;
        case 'S':
            out->key = x;
            break;
        default:
            out->pos = x;
            break;
        }
    }
}
