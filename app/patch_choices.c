#include <stdio.h>
#include <string.h>

#include "app/patching.h"

/* What a sweep may be, to choose from: site, direction, metric, and the values that are shown. */

static const struct choice {
    const char *name, *value, *says;
} choices[] = {
    {"site", "resid_pre", "the stream before a layer, by position"},
    {"site", "resid_mid", "the stream between attention and MLP, by position"},
    {"site", "resid_post", "the stream behind a layer, by position"},
    {"site", "attn_out", "what attention adds, by position"},
    {"site", "mlp_out", "what the MLP adds, by position"},
    {"site", "head_z", "what a head mixes, every position at once"},
    {"site", "head_q", "its queries"},
    {"site", "head_k", "its keys"},
    {"site", "head_v", "its values"},
    {"site", "head_pattern", "its attention pattern"},
    {"site", "neuron", "a neuron's activation, every position at once"},
    {"direction", "denoise", "clean into corrupt: what suffices"},
    {"direction", "noise", "corrupt into clean: what is needed"},
    {"metric", "logit_diff", "logit of the answer less that of the wrong one"},
    {"metric", "prob_diff", "the same of probabilities"},
    {"metric", "logprob", "log-probability of the answer"},
    {"metric", "prob", "probability of the answer"},
    {"metric", "kl", "KL from the clean prompt's distribution"},
    {"metric", "loss", "mean loss over the receiving prompt"},
    {"values", "normalized", "0 is corrupt, 1 is clean"},
    {"values", "raw", "the metric itself"},
};
#define N_CHOICES ((int)(sizeof choices / sizeof *choices))

static bool is_chosen(const struct patching *p, const struct choice *c)
{
    if (!strcmp(c->name, "site"))
        return !strcmp(p->site, c->value);
    if (!strcmp(c->name, "metric"))
        return !strcmp(p->metric, c->value);
    if (!strcmp(c->name, "direction"))
        return p->noise == !strcmp(c->value, "noise");
    return p->is_raw == !strcmp(c->value, "raw");
}

static struct rect box_of(const struct workbench *wb)
{
    int w = wb->w - 4 < 74 ? wb->w - 4 : 74,
        h = N_CHOICES + 2 < wb->h - 2 ? N_CHOICES + 2 : wb->h - 2;
    return (struct rect){(wb->w - w) / 2, (wb->h - h) / 2, w, h};
}

/* The first line shown, so that the cursor's is on screen. */
static int top_of(const struct patching *p, int lines)
{
    int top = p->choice - lines / 2;
    top = top > N_CHOICES - lines ? N_CHOICES - lines : top;
    return top < 0 ? 0 : top;
}

static void draw(struct workbench *wb, struct canvas *c)
{
    const struct patching *p = wb->patching;
    struct rect box = box_of(wb);
    canvas_fill(c, box, (struct style){0}, " ");
    struct rect in = canvas_frame(c, box, "the sweep (Enter computes it, Esc closes)", true);
    struct rect old = canvas_clip(c, in);
    int top = top_of(p, in.h);
    for (int y = 0; y < in.h && top + y < N_CHOICES; y++) {
        const struct choice *it = &choices[top + y];
        bool is_first = top + y == 0 || strcmp(it->name, it[-1].name) != 0;
        canvas_text(c, in.x + 1, in.y + y, 2, STYLE(MARK), is_chosen(p, it) ? "*" : " ");
        canvas_text(c, in.x + 3, in.y + y, 10, STYLE(KEY), is_first || !y ? it->name : "");
        canvas_text(c, in.x + 14, in.y + y, 13, STYLE(TEXT), it->value);
        canvas_text(c, in.x + 28, in.y + y, in.w - 29, STYLE(DIM), it->says);
        if (top + y == p->choice)
            canvas_reverse(c, (struct rect){in.x, in.y + y, in.w, 1});
    }
    c->clip = old;
}

static void choose(struct workbench *wb)
{
    const struct choice *it = &choices[wb->patching->choice];
    char line[64];
    wb->overlay = NULL;
    snprintf(line, sizeof line, "%s=%s", it->name, it->value);
    colon_sweep(wb, line);
}

static void key(struct workbench *wb, const struct key *k)
{
    struct patching *p = wb->patching;
    struct rect box = box_of(wb);
    const char *name = k->name;
    int by = !strcmp(name, "j") || !strcmp(name, "Down") || !strcmp(name, "WheelDown") ? 1
             : !strcmp(name, "k") || !strcmp(name, "Up") || !strcmp(name, "WheelUp")   ? -1
             : !strcmp(name, "PgDn")                                                   ? 6
             : !strcmp(name, "PgUp")                                                   ? -6
                                                                                       : 0;
    int row = top_of(p, box.h - 2) + k->y - box.y - 1;
    bool is_in =
        k->x > box.x && k->x < box.x + box.w - 1 && k->y > box.y && k->y < box.y + box.h - 1;
    if (by) {
        p->choice += by;
        p->choice = p->choice < 0 ? 0 : p->choice >= N_CHOICES ? N_CHOICES - 1 : p->choice;
    } else if (!strcmp(name, "Mouse") && is_in && row >= 0 && row < N_CHOICES) {
        p->choice = row;
        choose(wb);
    } else if (!strcmp(name, "Enter") || !strcmp(name, "Space")) {
        choose(wb);
    } else if (!strcmp(name, "Esc") || !strcmp(name, "q") || !strcmp(name, "Mouse")) {
        wb->overlay = NULL;
    }
}

void act_patch_choices(struct workbench *wb, const struct key *k)
{
    static const struct overlay overlay = {draw, key};
    struct patching *p = patching_of(wb);
    (void)k;
    if (!p)
        return;
    for (p->choice = 0; p->choice + 1 < N_CHOICES && !is_chosen(p, &choices[p->choice]);)
        p->choice++;
    wb->overlay = &overlay;
}
