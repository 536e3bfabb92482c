#include "app/list.h"

#include <string.h>

int list_at(const struct pane *p, int n)
{
    int64_t at = p->st.at[0];
    return n < 1 ? -1 : at < 0 ? 0 : at < n ? (int)at : n - 1;
}

void list_draw(struct workbench *wb, struct pane *p, struct canvas *c, struct rect in, int n,
    void (*row)(struct workbench *wb, int i, struct list_row *out))
{
    int rows = in.h - 1, at = list_at(p, n);
    int64_t *top = &p->st.scroll[0];
    p->st.at[0] = at < 0 ? 0 : at;
    if (*top > at)
        *top = at < 0 ? 0 : at;
    if (at >= *top + rows)
        *top = at - rows + 1;
    if (*top > 0 && *top + rows > n)
        *top = n > rows ? n - rows : 0;
    p->st.grid = (struct rect){in.x, in.y, in.w, rows};
    if (!n)
        canvas_text(c, in.x + 1, in.y + in.h / 2, in.w - 2, STYLE(DIM), p->class->empty);
    for (int y = 0; y < rows && *top + y < n; y++) {
        struct list_row r = {.style = STYLE(TEXT), .right_style = STYLE(DIM)};
        int i = (int)*top + y, right;
        row(wb, i, &r);
        bool is_here = i == at;
        right = canvas_columns(c, r.right);
        canvas_text(c, in.x + 1, in.y + y, 1, STYLE(MARK),
            !is_here                    ? " "
            : c->glyphs == GLYPHS_ASCII ? ">"
                                        : "▸");
        canvas_text(c, in.x + 3, in.y + y, in.w - 5 - right, r.style, r.left);
        if (right)
            canvas_right(c, in.x + in.w - 1, in.y + y, right, r.right_style, r.right);
        if (is_here && pane_is_focused(wb, p))
            canvas_reverse(c, (struct rect){in.x, in.y + y, in.w, 1});
    }
}

bool list_key(struct pane *p, const struct key *k, int n)
{
    static const struct {
        const char *name;
        int by; /* lines; 0: a page, and its sign in `page` */
        int page;
    } steps[] = {{"j", 1, 0}, {"Down", 1, 0}, {"k", -1, 0}, {"Up", -1, 0}, {"WheelDown", 1, 0},
        {"WheelUp", -1, 0}, {"PgDn", 0, 1}, {"PgUp", 0, -1}, {"Ctrl-F", 0, 1}, {"Ctrl-B", 0, -1},
        {"g", -1000000, 0}, {"Home", -1000000, 0}, {"G", 1000000, 0}, {"End", 1000000, 0}};
    int page = p->rect.h > 5 ? p->rect.h - 4 : 1, at = list_at(p, n);
    if (!strcmp(k->name, "Mouse")) {
        int y = k->y - p->st.grid.y + (int)p->st.scroll[0];
        if (k->y >= p->st.grid.y && k->y < p->st.grid.y + p->st.grid.h && y < n)
            p->st.at[0] = y;
        return true;
    }
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (!strcmp(steps[i].name, k->name)) {
            at += steps[i].by + steps[i].page * page;
            p->st.at[0] = n < 1 || at < 0 ? 0 : at < n ? at : n - 1;
            return true;
        }
    return false;
}
