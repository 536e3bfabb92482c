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

static struct rect tour_rect(const struct workbench *wb, int w, int h)
{
    const struct step *s = &steps[wb->tour - 1];
    int wide = w - 4 < 84 ? w - 4 : 84;
    int lines = screen_wrapped(NULL, (struct rect){0, 0, wide - 2, 9}, STYLE(TEXT), s->text);
    return (struct rect){(w - wide) / 2, h - lines - 4, wide, lines + 3};
}

int tour_rows(const struct workbench *wb, int w, int h)
{
    int rows = wb->tour ? tour_rect(wb, w, h).h : 0;
    return h - rows >= SCREEN_H ? rows : 0;
}

void tour_draw(struct workbench *wb, struct canvas *c)
{
    const struct step *s = &steps[wb->tour - 1];
    struct rect r = tour_rect(wb, wb->w, wb->h);
    char title[32];
    snprintf(title, sizeof title, "tour, %d of %d", wb->tour, N_STEPS);
    canvas_fill(c, (struct rect){r.x - 1, r.y, r.w + 2, r.h}, (struct style){0}, " ");
    struct rect in = canvas_frame(c, r, title, true), old = canvas_clip(c, in);
    screen_wrapped(c, in, STYLE(TEXT), s->text);
    int y = in.y + in.h - 1;
    canvas_text(c, in.x + 1, y, in.w - 18, STYLE(KEY), s->ask);
    canvas_right(c, in.x + in.w - 1, y, 16, STYLE(DIM), "q ends it");
    c->clip = old;
}
