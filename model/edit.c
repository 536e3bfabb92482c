#include "model/edit.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/core/npy.h"

static int bad(struct err *e, const char *text, const char *what)
{
    return err_set(e, ERR_USAGE, "edit \"%.200s\": %s", text, what);
}

/* A run of digits at *s as an int; moves *s behind it. */
static bool take_int(int *out, const char **s)
{
    if (!isdigit((unsigned char)**s))
        return false;
    char *end;
    long v = strtol(*s, &end, 10);
    *out = v > 1 << 28 ? 1 << 28 : (int)v;
    *s = end;
    return true;
}

/* ".q" behind a head or layer: a brief site name. */
static bool take_site(struct edit *ed, const char *s)
{
    return *s == '.' && site_of_word(&ed->site, s + 1, strlen(s + 1)) &&
           site_info(ed->site)->per_layer;
}

/* L9H6, L9H6.q, L3N512, L3N512.pre, L3_mlp, L3_attn, L3.resid_pre */
static bool parse_component(struct edit *ed, const char *s)
{
    const char *p = s + 1;
    if (*s != 'L' || !take_int(&ed->layer, &p))
        return false;
    if (!strcmp(p, "_mlp") || !strcmp(p, "_attn")) {
        ed->site = p[1] == 'm' ? SITE_MLP_OUT : SITE_ATTN_OUT;
        return true;
    }
    if (*p == 'H') {
        p++;
        ed->site = SITE_Z;
        return take_int(&ed->head, &p) && (!*p || take_site(ed, p));
    }
    if (*p == 'N') {
        p++;
        ed->site = SITE_MLP_POST;
        return take_int(&ed->unit, &p) && (!*p || take_site(ed, p));
    }
    return take_site(ed, p);
}

/* 9.6 (a head), 11.584 (a neuron), a9.h6, m3 */
static bool parse_paper(struct edit *ed, const char *s, const struct config *cfg)
{
    const char *p = s;
    int n;
    if (*p == 'm') {
        p++;
        ed->site = SITE_MLP_OUT;
        return take_int(&ed->layer, &p) && !*p;
    }
    bool is_a = *p == 'a';
    p += is_a;
    if (!take_int(&ed->layer, &p) || *p++ != '.' || (is_a && *p++ != 'h') || !take_int(&n, &p) ||
        *p)
        return false;
    bool is_head = is_a || n < cfg->n_head;
    ed->site = is_head ? SITE_Z : SITE_MLP_POST;
    *(is_head ? &ed->head : &ed->unit) = n;
    return true;
}

static int parse_target(
    struct edit *ed, char *s, const char *text, const struct config *cfg, struct err *e)
{
    char *open = strrchr(s, '[');
    int unit = -1;
    if (open) {
        const char *p = open + 1;
        if (!take_int(&unit, &p) || strcmp(p, "]"))
            return bad(e, text, "an index is written [17]");
        *open = '\0';
    }
    if (!parse_component(ed, s)) {
        *ed = (struct edit){.layer = -1, .head = -1, .unit = -1};
        if (!parse_paper(ed, s, cfg)) {
            *ed = (struct edit){.layer = -1, .head = -1, .unit = -1};
            if (site_parse(&ed->site, &ed->layer, s, cfg, e))
                return err_prefix(e, "edit \"%.200s\"", text);
        }
    }
    if (unit >= 0)
        ed->unit = unit;
    return 0;
}

/* Indices against the model: layer, head, unit. */
static int check_target(
    const struct edit *ed, const char *text, const struct config *cfg, struct err *e)
{
    const struct site_info *info = site_info(ed->site);
    bool has_heads = strchr(info->axes, 'H') != NULL;
    int64_t width = site_width(ed->site, cfg);
    int64_t units = has_heads ? width / cfg->n_head : width;
    char what[160];
    if (info->per_layer && (ed->layer < 0 || ed->layer >= cfg->n_layer))
        snprintf(what, sizeof what, "the model has layers 0 to %d", cfg->n_layer - 1);
    else if (ed->head >= 0 && !has_heads)
        snprintf(what, sizeof what, "%s has no heads", info->brief);
    else if (ed->head >= cfg->n_head)
        snprintf(what, sizeof what, "the model has heads 0 to %d", cfg->n_head - 1);
    else if (ed->unit >= 0 && site_is_square(ed->site))
        snprintf(what, sizeof what, "%s is addressed by @query,key", info->brief);
    else if (ed->unit >= units)
        snprintf(what, sizeof what, "%s has indices 0 to %lld", info->brief, (long long)units - 1);
    else
        return 0;
    return bad(e, text, what);
}

/* 7, -1, 3:9, * */
static bool parse_range(int64_t out[2], bool *all, const char *s)
{
    const int64_t most = 1 << 28;
    char *end;
    *all = !strcmp(s, "*");
    if (*all)
        return true;
    if (!isdigit((unsigned char)*s) && *s != '-')
        return false;
    out[0] = strtoll(s, &end, 10);
    if (out[0] <= -most || out[0] >= most)
        return false;
    out[1] = out[0] + 1;
    if (*end == ':') {
        const char *second = end + 1;
        out[1] = strtoll(second, &end, 10);
        if (end == second)
            return false;
    }
    return !*end && out[1] > -most && out[1] <= most;
}

/* Ends counted from different sides meet at a length that is not known here. */
static bool is_empty(const int64_t at[2])
{
    return (at[0] < 0) == (at[1] < 0) && at[1] <= at[0];
}

static int parse_pos(struct edit *ed, char *s, const char *text, struct err *e)
{
    ed->all_pos = ed->all_keys = true;
    if (!s)
        return 0;
    char *comma = strchr(s, ',');
    if (comma) {
        if (!site_is_square(ed->site))
            return bad(e, text, "only pattern and attn_scores take @query,key");
        *comma = '\0';
        if (!parse_range(ed->key, &ed->all_keys, comma + 1))
            return bad(e, text, "positions are written 7, -1, 3:9 or *");
    }
    if (!parse_range(ed->pos, &ed->all_pos, s))
        return bad(e, text, "positions are written 7, -1, 3:9 or *");
    if ((!ed->all_pos && is_empty(ed->pos)) || (comma && !ed->all_keys && is_empty(ed->key)))
        return bad(
            e, text, "the range is empty; the first position comes before the second, as in 2:5");
    return 0;
}

static bool parse_number(double *out, const char *s)
{
    char *end;
    *out = strtod(s, &end);
    return end != s && !*end && isfinite(*out);
}

/* The npy file behind add: and set:, one value a unit, or that for each position. */
static int load_values(
    struct edit *ed, const char *text, const struct config *cfg, struct arena *arena, struct err *e)
{
    float *data;
    const char *dot = strrchr(ed->file, '.');
    if ((!dot || strcmp(dot, ".npy") != 0) && access(ed->file, F_OK))
        return bad(e, text, "add and set take a number or the path of a .npy file");
    if (npy_load_f32(&data, &ed->n_data, ed->file, arena, e))
        return err_prefix(e, "edit \"%.200s\"", text);
    ed->data = data;
    if (site_is_square(ed->site))
        return 0;
    bool has_heads = site_info(ed->site)->axes[1] == 'H';
    int64_t width = site_width(ed->site, cfg), per = has_heads ? width / cfg->n_head : width;
    int64_t want = ed->unit >= 0 ? 1 : per;
    if (has_heads && ed->head < 0)
        want *= cfg->n_head;
    if (!ed->n_data || ed->n_data % want)
        return err_set(e, ERR_INPUT,
            "edit \"%.200s\": the file has %lld values, %lld a position "
            "are needed",
            text, (long long)ed->n_data, (long long)want);
    return 0;
}

static int parse_op(struct edit *ed, const char *s, const char *text, const struct config *cfg,
    struct arena *arena, struct err *e)
{
    static const struct {
        const char *name;
        enum edit_op op;
        bool takes_value, takes_file;
    } ops[] = {{"zero", EDIT_ZERO, false, false}, {"mean", EDIT_MEAN, false, false},
        {"resample", EDIT_RESAMPLE, true, false}, {"scale", EDIT_SCALE, true, false},
        {"add", EDIT_ADD, true, true}, {"set", EDIT_SET, true, true},
        {"from", EDIT_FROM, true, false}};
    size_t n = strcspn(s, ":");
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        if (strlen(ops[i].name) != n || strncmp(ops[i].name, s, n))
            continue;
        const char *value = s[n] ? s + n + 1 : NULL;
        ed->op = ops[i].op;
        if (!ops[i].takes_value)
            return value ? bad(e, text, "zero and mean take no value") : 0;
        if (!value || !*value)
            return bad(e, text, "the operation needs a value, as in scale:0.5");
        if (ed->op == EDIT_FROM) {
            ed->from = arena_strdup(arena, value, e);
            return ed->from ? 0 : ERR_LIMIT;
        }
        if (parse_number(&ed->value, value)) {
            if (ed->op == EDIT_RESAMPLE) {
                if (ed->value < 0 || ed->value > 1 << 28 || ed->value != floor(ed->value))
                    return bad(e, text, "resample takes the number of an input, from 0");
                ed->resample = (int)ed->value;
            }
            return 0;
        }
        if (!ops[i].takes_file)
            return bad(e, text, "not a number");
        ed->file = arena_strdup(arena, value, e);
        return ed->file ? load_values(ed, text, cfg, arena, e) : ERR_LIMIT;
    }
    return bad(e, text,
        "the operations are zero, mean, resample:INPUT, from:TEXT, scale:X, add:X, set:X, "
        "add:FILE.npy and "
        "set:FILE.npy");
}

int edit_parse(struct edit *out, const char *text, const struct config *cfg, struct arena *arena,
    struct err *e)
{
    char *s = arena_strdup(arena, text, e);
    if (!s)
        return ERR_LIMIT;
    struct edit ed = {.layer = -1, .head = -1, .unit = -1};
    char *op = strchr(s, '=');
    if (!op)
        return bad(e, text, "an edit is TARGET[@POS]=OPERATION, as in L9H6.z@-1=zero");
    *op++ = '\0';
    char *pos = strchr(s, '@');
    if (pos)
        *pos++ = '\0';
    if (parse_target(&ed, s, text, cfg, e) || check_target(&ed, text, cfg, e) ||
        parse_pos(&ed, pos, text, e) || parse_op(&ed, op, text, cfg, arena, e))
        return e ? e->code : ERR_USAGE;
    ed.text = arena_strdup(arena, text, e);
    *out = ed;
    return ed.text ? 0 : ERR_LIMIT;
}

static void print_range(char *buf, size_t n, const int64_t at[2], bool all)
{
    if (all)
        snprintf(buf, n, "*");
    else if (at[1] == at[0] + 1)
        snprintf(buf, n, "%lld", (long long)at[0]);
    else
        snprintf(buf, n, "%lld:%lld", (long long)at[0], (long long)at[1]);
}

void edit_print(char *buf, int n, const struct edit *ed)
{
    static const char *const ops[] = {"zero", "mean", "resample", "scale", "add", "set", "from"};
    const struct site_info *info = site_info(ed->site);
    char target[64], unit[24] = "", pos[64] = "", key[48], value[64] = "";
    if (!info->per_layer)
        snprintf(target, sizeof target, "%s", info->brief);
    else if (ed->head >= 0)
        snprintf(target, sizeof target, "L%dH%d.%s", ed->layer, ed->head, info->brief);
    else
        snprintf(target, sizeof target, "L%d.%s", ed->layer, info->brief);
    if (ed->unit >= 0)
        snprintf(unit, sizeof unit, "[%d]", ed->unit);
    if (!ed->all_pos || !ed->all_keys) {
        pos[0] = '@';
        print_range(pos + 1, sizeof pos - 1, ed->pos, ed->all_pos);
        if (!ed->all_keys) {
            print_range(key, sizeof key, ed->key, false);
            size_t used = strlen(pos);
            snprintf(pos + used, sizeof pos - used, ",%s", key);
        }
    }
    if (ed->op == EDIT_RESAMPLE)
        snprintf(value, sizeof value, ":%d", ed->resample);
    else if (ed->op >= EDIT_SCALE && ed->op <= EDIT_SET && !ed->file)
        snprintf(value, sizeof value, ":%.17g", ed->value);
    snprintf(buf, (size_t)n, "%s%s%s=%s%s%s%s", target, unit, pos, ops[ed->op], value,
        ed->file || ed->from ? ":" : "",
        ed->file   ? ed->file
        : ed->from ? ed->from
                   : "");
}
