#include "app/tour.h"

#include <stdio.h>
#include <string.h>

#include "app/state.h"
#include "app/workbench.h"

static const struct step {
    const char *keys; /* any of these, as the key table names them */
    const char *text, *ask;
} steps[] = {
    {"h l Left Right",
        "Every pane shows the same prompt and the same position. The cursor walks over the tokens, "
        "and all panes follow it.",
        "Press h or l, or an arrow"},
    {"Tab", "The pane with the bright frame has the keys; its last line reads the exact number.",
        "Press Tab to go to the next pane"},
    {"Enter",
        "Enter goes deeper: from the lens to the tokens of one layer, from a component to its "
        "attention. Esc comes back.",
        "Press Enter"},
    {"i", "The prompt is yours: type another text and Enter runs it.",
        "Press i, then Esc or Enter"},
    {"? F1", "? explains the pane you are in and lists its keys. Ctrl-P finds everything by name.",
        "Press ?"},
};
#define N_STEPS ((int)(sizeof steps / sizeof *steps))

void tour_start(struct workbench *wb)
{
    wb->tour = 1;
}

void tour_first(struct workbench *wb)
{
    struct arena scratch = {0};
    struct err lost;
    if (wb->wants_tour && !state_get("tour", &scratch) && !state_set("tour", "seen", &lost))
        tour_start(wb);
    arena_release(&scratch);
}

void colon_tour(struct workbench *wb, const char *arg)
{
    (void)arg;
    tour_start(wb);
}

bool tour_takes(struct workbench *wb, const struct key *k)
{
    if (!wb->tour || wb->overlay || wb->input != INPUT_NONE || strcmp(k->name, "q") != 0)
        return false;
    wb->tour = 0;
    workbench_say(wb, false, "the tour is over; :tour begins it again, ? helps anywhere");
    return true;
}

void tour_after(struct workbench *wb, const struct key *k)
{
    size_t n = strlen(k->name);
    if (!wb->tour)
        return;
    for (const char *at = steps[wb->tour - 1].keys; n && *at;
         at += strcspn(at, " "), at += strspn(at, " "))
        if (strcspn(at, " ") == n && !strncmp(at, k->name, n)) {
            if (++wb->tour > N_STEPS) {
                wb->tour = 0;
                workbench_say(wb, false, "that was the tour; :tour shows it again");
            }
            return;
        }
}

/* The frame, or where `is_bare` the lines of the text alone. */
static struct rect tour_rect(const struct workbench *wb, int w, int h, bool *is_bare)
{
    const struct step *s = &steps[wb->tour - 1];
    int wide = w - 4 < 84 ? w - 4 : 84;
    int lines = screen_wrapped(NULL, (struct rect){0, 0, wide - 2, 9}, STYLE(TEXT), s->text);
    *is_bare = h - lines - 3 < SCREEN_H;
    if (!*is_bare)
        return (struct rect){(w - wide) / 2, h - lines - 4, wide, lines + 3};
    lines = screen_wrapped(NULL, (struct rect){0, 0, w, 9}, STYLE(TEXT), s->text);
    return (struct rect){0, h - lines - 1, w, lines};
}

int tour_rows(const struct workbench *wb, int w, int h)
{
    bool is_bare;
    return wb->tour ? tour_rect(wb, w, h, &is_bare).h : 0;
}

/* What is to be pressed, in one line. */
static void draw_ask(const struct step *s, struct canvas *c, int x, int y, int w, const char *title)
{
    if (*title)
        x += canvas_textf(c, x, y, w, STYLE(DIM), "%s  ", title);
    canvas_text(c, x, y, w - 12, STYLE(KEY), s->ask);
    canvas_right(c, w, y, 9, STYLE(DIM), "q ends it");
}

void tour_draw(struct workbench *wb, struct canvas *c)
{
    const struct step *s = &steps[wb->tour - 1];
    bool is_bare;
    struct rect r = tour_rect(wb, wb->w, wb->h, &is_bare);
    char title[32];
    snprintf(title, sizeof title, is_bare ? "%d of %d" : "tour, %d of %d", wb->tour, N_STEPS);
    if (is_bare) {
        screen_wrapped(c, r, STYLE(TEXT), s->text);
        if (*wb->message || wb->input != INPUT_NONE)
            return; /* the footer has more to say */
        canvas_fill(c, (struct rect){0, r.y + r.h, r.w, 1}, (struct style){0}, " ");
        draw_ask(s, c, 1, r.y + r.h, r.w - 1, title);
        wb->n_buttons = 0;
        return;
    }
    canvas_fill(c, (struct rect){r.x - 1, r.y, r.w + 2, r.h}, (struct style){0}, " ");
    struct rect in = canvas_frame(c, r, title, true), old = canvas_clip(c, in);
    screen_wrapped(c, in, STYLE(TEXT), s->text);
    draw_ask(s, c, in.x + 1, in.y + in.h - 1, in.x + in.w - 1, "");
    c->clip = old;
}
