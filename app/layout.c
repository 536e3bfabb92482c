#include "app/layout.h"

#include <string.h>

struct part {
    enum pane_id pane;
    int weight;
};

/* Rows of panes, each with its share of the height; parts with theirs of the width. */
static const struct preset {
    const char *title;
    struct {
        int weight;
        struct part parts[3];
    } rows[3];
} presets[LAYOUTS] = {
    {"first light",
        {{1, {{PANE_LENS, 65}, {PANE_NEXT, 36}}}, {1, {{PANE_ATTENTION, 65}, {PANE_DLA, 36}}}}},
    {"lens", {{3, {{PANE_LENS, 1}}}, {2, {{PANE_CELL, 1}, {PANE_NEXT, 1}}}}},
    {"attention", {{1, {{PANE_HEADS, 1}}}, {1, {{PANE_ATTENTION, 1}}}}},
    {"attribution", {{1, {{PANE_DLA, 3}, {PANE_NEXT, 2}}}}},
    {"lens and attribution", {{1, {{PANE_LENS, 3}, {PANE_DLA, 2}}}}},
    {"head by head", {{1, {{PANE_ATTENTION, 3}, {PANE_DLA, 2}}}, {1, {{PANE_HEADS, 1}}}}},
    {"three columns", {{1, {{PANE_LENS, 2}, {PANE_DLA, 1}, {PANE_NEXT, 1}}}}},
    {"neurons", {{1, {{PANE_DLA, 1}, {PANE_NEURONS, 1}}}}},
    {"one at a time", {{1, {{PANE_LENS, 1}}}}},
};

const char *layout_title(int number)
{
    return presets[number - 1].title;
}

bool layout_shows(int number, enum pane_id pane)
{
    if (pane == PANE_PROMPT || pane == PANE_TOKENS)
        return true;
    for (int r = 0; r < 3; r++)
        for (int k = 0; k < 3; k++)
            if (presets[number - 1].rows[r].parts[k].weight &&
                presets[number - 1].rows[r].parts[k].pane == pane)
                return true;
    return false;
}

static void fill_row(struct layout *out, const struct part *parts, struct rect r)
{
    int total = 0, at = 0;
    for (int k = 0; k < 3; k++)
        total += parts[k].weight;
    for (int k = 0, seen = 0; k < 3; k++) {
        if (!parts[k].weight)
            continue;
        seen += parts[k].weight;
        int end = r.w * seen / total;
        out->panes[parts[k].pane] = (struct rect){r.x + at, r.y, end - at, r.h};
        at = end;
    }
}

static void fill_rows(struct layout *out, const struct preset *p, struct rect r)
{
    int total = 0, at = 0;
    for (int k = 0; k < 3; k++)
        total += p->rows[k].weight;
    for (int k = 0, seen = 0; k < 3; k++) {
        if (!p->rows[k].weight)
            continue;
        seen += p->rows[k].weight;
        int end = r.h * seen / total;
        fill_row(out, p->rows[k].parts, (struct rect){r.x, r.y + at, r.w, end - at});
        at = end;
    }
}

void layout_arrange(struct layout *out, int number, int w, int h, int token_columns,
    enum pane_id focus, enum pane_id zoomed)
{
    *out = (struct layout){.is_too_small = w < SCREEN_W || h < SCREEN_H};
    out->status = (struct rect){0, 0, w, 1};
    out->footer = (struct rect){0, h - 1, w, 1};
    if (out->is_too_small)
        return;
    out->panes[PANE_PROMPT] = (struct rect){0, 1, w, 3};
    int lines = w > 0 ? (token_columns + w - 1) / w : 1;
    int most = h >= 40 ? 4 : h >= 28 ? 2 : 1;
    lines = lines < 1 ? 1 : lines > most ? most : lines;
    out->panes[PANE_TOKENS] = (struct rect){0, 4, w, lines};
    struct rect body = {0, 4 + lines, w, h - 5 - lines};
    bool is_narrow = w < 72;
    if (zoomed < PANE_COUNT && zoomed != PANE_PROMPT && zoomed != PANE_TOKENS) {
        out->panes[zoomed] = body;
    } else if (is_narrow || number == LAYOUTS) {
        bool top = focus == PANE_PROMPT || focus == PANE_TOKENS;
        out->panes[top ? PANE_LENS : focus] = body;
    } else {
        fill_rows(out, &presets[number - 1], body);
    }
}
