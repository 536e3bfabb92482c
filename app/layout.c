#include "app/layout.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/core/param.h"

static const char *const kinds[PANE_COUNT] = {
#define PANE(id, name) #name,
#include "app/panes.def"
#undef PANE
};

static const struct preset {
    const char *title, *text;
} presets[LAYOUTS] = {
    {"first light", "[50 [64 lens | next] / [64 attention | dla]]"},
    {"lens", "[60 lens / [50 cell | next]]"},
    {"attention", "[50 heads / attention]"},
    {"attribution", "[60 dla | next]"},
    {"lens and attribution", "[60 lens | dla]"},
    {"head by head", "[50 [60 attention | dla] / heads]"},
    {"patching", "[30 pair / [58 patch | estimate]]"},
    {"neurons", "[50 dla | neurons]"},
    {"one at a time", "*"},
};

const char *layout_title(int number)
{
    return presets[number - 1].title;
}

void layout_preset(struct layout *out, int number)
{
    struct err e;
    if (layout_parse(out, presets[number - 1].text, &e))
        *out = (struct layout){.n = 1, .nodes = {{.slot = PANE_LENS, .kind = PANE_LENS}}};
}

/* --- As text ----------------------------------------------------------------------------------- */

struct reader {
    const char *at;
    struct layout *l;
    struct err *e;
    bool used[PANE_SLOTS];
    int depth;
};

static void skip(struct reader *r)
{
    while (isspace((unsigned char)*r->at))
        r->at++;
}

static int fault(struct reader *r, const char *what)
{
    return err_set(r->e, ERR_USAGE,
        "layout: %s at \"%.20s\"; write panes as lens or next, and splits as [60 lens | dla] or "
        "[50 lens / dla]",
        what, r->at);
}

static int kind_named(const char *name, size_t n)
{
    for (int i = 0; i < PANE_COUNT; i++)
        if (strlen(kinds[i]) == n && !strncmp(kinds[i], name, n))
            return i;
    return -1;
}

/* The slot for another pane of a kind: its own, else a free extra one; SLOT_NONE: all taken. */
static int free_slot(const bool *used, int kind)
{
    int slot = kind;
    if (used[slot])
        for (slot = PANE_COUNT; slot < PANE_SLOTS && used[slot]; slot++) {
        }
    return slot < PANE_SLOTS ? slot : SLOT_NONE;
}

static int read_leaf(struct reader *r, struct layout_node *n)
{
    if (*r->at == '*') {
        r->at++;
        *n = (struct layout_node){.slot = SLOT_FOCUSED, .kind = PANE_LENS};
        return 0;
    }
    size_t len = strspn(r->at, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    int kind = kind_named(r->at, len);
    if (kind < 0 || kind == PANE_PROMPT || kind == PANE_TOKENS) {
        const char *near[1];
        char word[32];
        snprintf(word, sizeof word, "%.*s", (int)(len < 31 ? len : 31), r->at);
        nearest_names(near, 1, word, kinds, PANE_COUNT);
        return err_set(r->e, ERR_USAGE, "layout: no pane \"%s\"; the nearest is %s", word, near[0]);
    }
    int slot = free_slot(r->used, kind);
    if (slot == SLOT_NONE)
        return fault(r, "too many panes of one kind");
    r->used[slot] = true;
    *n = (struct layout_node){.slot = slot, .kind = kind};
    r->at += len;
    if (*r->at == ':') {
        r->at++;
        len = strspn(r->at, "abcdefghijklmnopqrstuvwxyz0123456789_-");
        if (!len || len >= VIEW_NAME)
            return fault(r, "no view");
        memcpy(n->view, r->at, len);
        r->at += len;
    }
    return 0;
}

/* A subtree into nodes[at]. */
static int read_node(struct reader *r, int at)
{
    struct layout *l = r->l;
    skip(r);
    if (*r->at != '[')
        return read_leaf(r, &l->nodes[at]);
    if (++r->depth > LAYOUT_NODES / 2 + 1 || l->n + 2 > LAYOUT_NODES)
        return fault(r, "too many splits");
    r->at++;
    char *end;
    long share = strtol(r->at, &end, 10);
    if (end == r->at || share < 5 || share > 95)
        return fault(r, "no share from 5 to 95");
    r->at = end;
    int a = l->n++, b = l->n++;
    int rc = read_node(r, a);
    if (rc)
        return rc;
    skip(r);
    char split = *r->at;
    if (split != '|' && split != '/')
        return fault(r, "no | or /");
    r->at++;
    rc = read_node(r, b);
    if (rc)
        return rc;
    skip(r);
    if (*r->at != ']')
        return fault(r, "no ]");
    r->at++;
    r->depth--;
    l->nodes[at] = (struct layout_node){.split = split, .share = (int)share, .a = a, .b = b};
    return 0;
}

int layout_parse(struct layout *out, const char *text, struct err *e)
{
    struct layout l = {.n = 1};
    struct reader r = {.at = text, .l = &l, .e = e};
    int rc = read_node(&r, 0);
    skip(&r);
    if (!rc && *r.at)
        rc = fault(&r, "more than one layout");
    if (!rc)
        *out = l;
    return rc;
}

static size_t print_node(char *buf, size_t n, const struct layout *l, int at)
{
    const struct layout_node *node = &l->nodes[at];
    char a[512], b[512];
    if (node->split) {
        print_node(a, sizeof a, l, node->a);
        print_node(b, sizeof b, l, node->b);
        return (size_t)snprintf(buf, n, "[%d %s %c %s]", node->share, a, node->split, b);
    }
    return (size_t)snprintf(buf, n, "%s%s%s", node->slot == SLOT_FOCUSED ? "*" : kinds[node->kind],
        *node->view ? ":" : "", node->view);
}

void layout_print(char *buf, size_t n, const struct layout *l)
{
    print_node(buf, n, l, 0);
}

/* --- Changing it ------------------------------------------------------------------------------- */

int layout_leaf(const struct layout *l, int slot)
{
    for (int i = 0; i < l->n; i++)
        if (!l->nodes[i].split && l->nodes[i].slot == slot)
            return i;
    return -1;
}

/* Leaves of a kind in reading order until a slot, or the n-th, is met. */
static int count_leaves(const struct layout *l, int at, int kind, int slot, int *n, int seen)
{
    const struct layout_node *x = &l->nodes[at];
    if (!x->split) {
        seen += x->kind == kind;
        if (x->kind == kind && (slot >= 0 ? x->slot == slot : seen == *n)) {
            *n = slot >= 0 ? seen : x->slot;
            return -1;
        }
        return seen;
    }
    seen = count_leaves(l, x->a, kind, slot, n, seen);
    return seen < 0 ? seen : count_leaves(l, x->b, kind, slot, n, seen);
}

int layout_nth(const struct layout *l, int slot)
{
    int at = layout_leaf(l, slot), n = 0;
    return at >= 0 && count_leaves(l, 0, l->nodes[at].kind, slot, &n, 0) < 0 ? n : 0;
}

int layout_find_nth(const struct layout *l, int kind, int n)
{
    return l->n && count_leaves(l, 0, kind, -1, &n, 0) < 0 ? n : -1;
}

int layout_first(const struct layout *l)
{
    int at = 0;
    while (l->nodes[at].split)
        at = l->nodes[at].a;
    return l->nodes[at].slot == SLOT_FOCUSED ? PANE_LENS : l->nodes[at].slot;
}

static void find_used(bool *used, const struct layout *l)
{
    memset(used, 0, PANE_SLOTS * sizeof *used);
    for (int i = 0; i < l->n; i++)
        if (!l->nodes[i].split && l->nodes[i].slot >= 0)
            used[l->nodes[i].slot] = true;
}

static int parent_of(const struct layout *l, int at)
{
    for (int i = 0; i < l->n; i++)
        if (l->nodes[i].split && (l->nodes[i].a == at || l->nodes[i].b == at))
            return i;
    return -1;
}

int layout_split(int *added, struct layout *l, int slot, char split, int kind, struct err *e)
{
    bool used[PANE_SLOTS];
    int at = layout_leaf(l, slot), room;
    find_used(used, l);
    room = free_slot(used, kind);
    if (at < 0)
        return err_set(e, ERR_USAGE, "this pane is no part of the layout; choose one with 1 to 9");
    if (room == SLOT_NONE || l->n + 2 > LAYOUT_NODES)
        return err_set(e, ERR_LIMIT, "no room for another pane; close one");
    int a = l->n++, b = l->n++;
    l->nodes[a] = l->nodes[at];
    l->nodes[b] = (struct layout_node){.slot = room, .kind = kind};
    l->nodes[at] = (struct layout_node){.split = split, .share = 50, .a = a, .b = b};
    *added = room;
    return 0;
}

/* Copies the tree without holes. */
static int compact(struct layout *to, const struct layout *from, int at, int into)
{
    to->nodes[into] = from->nodes[at];
    if (from->nodes[at].split) {
        int a = to->n++, b = to->n++;
        compact(to, from, from->nodes[at].a, a);
        compact(to, from, from->nodes[at].b, b);
        to->nodes[into].a = a;
        to->nodes[into].b = b;
    }
    return into;
}

bool layout_close(struct layout *l, int slot)
{
    int at = layout_leaf(l, slot), up = at < 0 ? -1 : parent_of(l, at);
    if (up < 0)
        return false;
    l->nodes[up] = l->nodes[l->nodes[up].a == at ? l->nodes[up].b : l->nodes[up].a];
    struct layout whole = {.n = 1};
    compact(&whole, l, 0, 0);
    *l = whole;
    return true;
}

bool layout_resize(struct layout *l, int slot, char split, int percent)
{
    int at = layout_leaf(l, slot);
    for (int up = at < 0 ? -1 : parent_of(l, at); up >= 0; at = up, up = parent_of(l, up)) {
        struct layout_node *n = &l->nodes[up];
        if (n->split != split)
            continue;
        n->share += percent;
        n->share = n->share < 10 ? 10 : n->share > 90 ? 90 : n->share;
        return true;
    }
    return false;
}

int layout_replace(struct layout *l, int slot, int kind)
{
    bool used[PANE_SLOTS];
    int at = layout_leaf(l, slot);
    if (at < 0)
        return slot;
    find_used(used, l);
    used[slot] = false;
    int room = free_slot(used, kind);
    if (room == SLOT_NONE)
        return slot;
    l->nodes[at] = (struct layout_node){.slot = room, .kind = kind};
    return room;
}

/* --- On a screen ------------------------------------------------------------------------------- */

#define LEAF_W 24 /* narrower panes go below each other instead */
#define WISH_W 36 /* narrower ones do where the height allows it */
#define TALL_H 20
#define LEAF_H 5

static void place(struct places *out, const struct layout *l, int at, struct rect r, int focus)
{
    const struct layout_node *n = &l->nodes[at];
    if (!n->split) {
        int slot = n->slot == SLOT_FOCUSED ? focus : n->slot;
        out->panes[slot] = r;
        if (r.w < LEAF_W || r.h < LEAF_H)
            out->is_single = true;
        return;
    }
    struct rect a = r, b = r;
    int least = r.w * (n->share < 50 ? n->share : 100 - n->share) / 100;
    bool below = n->split == '/' || least < LEAF_W || (least < WISH_W && r.h >= TALL_H);
    if (below) {
        a.h = r.h * n->share / 100;
        b.y += a.h;
        b.h -= a.h;
    } else {
        a.w = r.w * n->share / 100;
        b.x += a.w;
        b.w -= a.w;
    }
    place(out, l, n->a, a, focus);
    place(out, l, n->b, b, focus);
}

void layout_arrange(struct places *out, const struct layout *l, int w, int h, int kept,
    int token_columns, int focus, int zoomed)
{
    *out = (struct places){.is_too_small = w < SCREEN_W || h < SCREEN_H};
    out->status = (struct rect){0, 0, w, 1};
    out->footer = (struct rect){0, h - 1, w, 1};
    if (out->is_too_small)
        return;
    bool has_strips = token_columns >= 0;
    int lines = w > 0 ? (token_columns + w - 1) / w : 1;
    int most = h - kept >= 40 ? 4 : h - kept >= 28 ? 2 : 1;
    lines = lines < 1 ? 1 : lines > most ? most : lines;
    int top = has_strips ? 4 + lines : 1;
    struct rect body = {0, top, w, h - 1 - top - kept};
    bool is_page = zoomed >= 0 && zoomed != PANE_PROMPT && zoomed != PANE_TOKENS;
    int main = focus == PANE_PROMPT || focus == PANE_TOKENS ? layout_first(l) : focus;
    if (!is_page)
        place(out, l, 0, body, main);
    if (is_page || out->is_single) {
        memset(out->panes, 0, sizeof out->panes);
        out->panes[is_page ? zoomed : main] = body;
    }
    if (!has_strips)
        return;
    out->panes[PANE_PROMPT] = (struct rect){0, 1, w, 3};
    out->panes[PANE_TOKENS] = (struct rect){0, 4, w, lines};
}
