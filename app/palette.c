#include "app/palette.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/command.h"
#include "app/log.h"
#include "app/options.h"
#include "app/words.h"
#include "app/workbench.h"
#include "datasets/dataset.h"

#define ENTRIES 2048
#define SHOWN 64 /* letters of a name that can be marked */

struct palette {
    struct arena arena;
    struct entry *list;
    int n, *found, *score, n_found; /* found: indices, best first */
    int at, top, rows;
    struct rect box; /* of the last drawing */
};

/* --- Matching ---------------------------------------------------------------------------------- */

static bool begins_word(const char *name, int i)
{
    return i == 0 || !isalnum((unsigned char)name[i - 1]);
}

static bool same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* The best place for each letter is looked for from every start of the first: names are short. */
static int score_from(const char *query, const char *name, int start, int *at, int *n, int max)
{
    int score = 0, last = start - 1, k = 0;
    for (const char *q = query; *q; q++) {
        if (*q == ' ')
            continue;
        int i = last + 1, word = -1;
        while (name[i] && !same(name[i], *q))
            i++;
        if (!name[i])
            return -1;
        /* A word's beginning further on is better than the middle of this one. */
        if (i != last + 1)
            for (int w = i; name[w] && word < 0; w++)
                if (begins_word(name, w) && same(name[w], *q))
                    word = w;
        i = word >= 0 ? word : i;
        score += 1 + (i == last + 1 && k ? 6 : 0) + (begins_word(name, i) ? 5 : 0);
        if (k < max)
            at[k] = i;
        k++;
        last = i;
    }
    *n = k < max ? k : max;
    return score * 8 - start;
}

int palette_score(const char *query, const char *name, int *at, int *n, int max)
{
    int best = -1, tried[SHOWN], n_tried;
    *n = 0;
    while (*query == ' ')
        query++;
    if (!*query)
        return 0;
    max = max < SHOWN ? max : SHOWN;
    for (int i = 0; name[i]; i++) {
        if (!same(name[i], *query))
            continue;
        int score = score_from(query, name, i, tried, &n_tried, max);
        if (score > best) {
            best = score;
            *n = n_tried;
            memcpy(at, tried, (size_t)n_tried * sizeof *at);
        }
    }
    if (best >= 0)
        best += 40 - (int)(strlen(name) < 40 ? strlen(name) : 40);
    return best;
}

/* --- What there is: a row of `sources` --------------------------------------------------------- */

static void add(struct palette *p, const struct entry *e)
{
    if (p->n < ENTRIES)
        p->list[p->n++] = *e;
}

static const char *text(struct palette *p, const char *a, const char *b, const char *c)
{
    struct err e;
    const char *s = arena_printf(&p->arena, &e, "%s%s%s", a, b, c);
    return s ? s : "";
}

static void run_line(struct workbench *wb, const struct entry *e)
{
    colon_run(wb, e->text);
}

/* A word that wants more: the line is opened with it. */
static void type_line(struct workbench *wb, const struct entry *e)
{
    wb->input = INPUT_COMMAND;
    line_set(&wb->line, e->text);
}

static void run_form(struct workbench *wb, const struct entry *e)
{
    form_open(wb, analyses[e->index]);
}

/* In the pane the key is for. */
static void run_key(struct workbench *wb, const struct entry *e)
{
    const struct key_row *row = key_row(e->index);
    int kind = PANE_PROMPT;
    if (!key_in_pane(row, wb->panes[wb->focus].class->name)) {
        while (kind < PANE_COUNT && !key_in_pane(row, pane_class(kind)->name))
            kind++;
        if (kind == PANE_COUNT)
            return;
        if (workbench_shows(wb, kind))
            workbench_focus(wb, kind);
        else
            workbench_drill(wb, kind);
    }
    row->act(wb, &(struct key){.name = "1"});
}

static void run_layout(struct workbench *wb, const struct entry *e)
{
    workbench_choose(wb, e->index);
}

static void list_analyses(struct palette *p)
{
    for (int i = 0; i < n_analyses; i++)
        add(p, &(struct entry){
                   "analysis", analyses[i]->id, "", analyses[i]->title, run_form, NULL, i});
}

static void list_keys(struct palette *p)
{
    for (int i = 0; i < key_count(); i++) {
        const struct key_row *k = key_row(i);
        if (strcmp(k->key, "1-9") != 0)
            add(p, &(struct entry){"key", k->name, k->key, k->help, run_key, NULL, i});
    }
}

static void list_panes(struct palette *p)
{
    for (int i = 0; i < PANE_COUNT; i++)
        add(p, &(struct entry){"pane", text(p, "pane ", pane_class(i)->name, ""), "",
                   pane_class(i)->title, run_line, text(p, "focus ", pane_class(i)->name, ""), i});
}

static void list_layouts(struct palette *p)
{
    for (int i = 1; i <= LAYOUTS; i++) {
        char number[2] = {(char)('0' + i), '\0'};
        const char *key = text(p, number, "", "");
        add(p, &(struct entry){"layout",
                   text(p, text(p, "layout ", number, ": "), layout_title(i), ""), key,
                   "which panes are on screen", run_layout, NULL, i});
    }
}

static void list_views(struct palette *p)
{
    for (int i = 0; i < n_views; i++)
        add(p, &(struct entry){"view", text(p, "view ", views[i]->id, ""), "", views[i]->title,
                   run_line, text(p, "view ", views[i]->id, ""), i});
}

static void list_settings(struct palette *p)
{
    for (int i = 0; i < OPTION_COUNT; i++) {
        const struct param *o = &option_params[i];
        const char *at = o->type == PARAM_BOOL ? "true|false" : o->choices;
        while (at && *at) {
            char word[32];
            size_t n = strcspn(at, "|");
            snprintf(word, sizeof word, "%.*s", (int)n, at);
            const char *line = text(p, text(p, "set ", o->name, " "), word, "");
            add(p, &(struct entry){"setting", line, "", o->help, run_line, line, i});
            at += n + (at[n] == '|');
        }
    }
}

static void list_words(struct palette *p)
{
    for (int i = 0; i < word_count(); i++) {
        const struct word *w = word_row(i);
        add(p, &(struct entry){"word", w->name, text(p, ":", w->name, ""), w->help,
                   *w->arg ? type_line : run_line, text(p, w->name, *w->arg ? " " : "", ""), i});
    }
    for (int i = 0; i < n_verbs; i++)
        if (!verbs[i]->is_hidden)
            add(p, &(struct entry){"command", verbs[i]->name, text(p, ":", verbs[i]->name, ""),
                       verbs[i]->brief, type_line, text(p, verbs[i]->name, " ", ""), i});
}

static void list_datasets(struct palette *p)
{
    for (int i = 0; i < n_datasets; i++)
        add(p, &(struct entry){"dataset", datasets[i]->id, "", datasets[i]->title, type_line,
                   text(p, "run logits --dataset ", datasets[i]->id, ":8"), i});
}

static void add_model(void *arg, const char *name, const char *path)
{
    struct palette *p = arg;
    struct err e;
    const char *quoted = words_quote(name, &p->arena, &e);
    const char *kept = arena_strdup(&p->arena, path && *path ? path : "built in", &e);
    add(p, &(struct entry){"model", text(p, "model ", name, ""), "", kept ? kept : "", run_line,
               text(p, "model ", quoted ? quoted : name, ""), 0});
}

static void list_models(struct palette *p)
{
    struct err e;
    model_list(add_model, p, &e);
}

static void list_sessions(struct palette *p)
{
    const char *paths[20];
    struct err e;
    int n = log_list(paths, 20, NULL, &p->arena, &e);
    for (int i = 0; i < n; i++) {
        const char *name = strrchr(paths[i], '/'), *quoted = words_quote(paths[i], &p->arena, &e);
        add(p, &(struct entry){"session", text(p, "session ", name ? name + 1 : paths[i], ""), "",
                   "reopen an earlier session", run_line,
                   text(p, "session ", quoted ? quoted : paths[i], ""), i});
    }
}

/* Reports and caches of this folder. */
static void list_files(struct palette *p)
{
    DIR *dir = opendir(".");
    struct err e;
    int n = 0;
    for (const struct dirent *d; dir && n < 200 && (d = readdir(dir));) {
        size_t len = strlen(d->d_name);
        const char *end = len > 3 ? d->d_name + len - 3 : "";
        const char *quoted = !strcmp(end, ".h5") ? words_quote(d->d_name, &p->arena, &e) : NULL;
        if (!quoted)
            continue;
        add(p,
            &(struct entry){"document", text(p, "open ", d->d_name, ""), "",
                "a report, a cache, any HDF5 file", run_line, text(p, "open ", quoted, ""), n++});
    }
    if (dir)
        closedir(dir);
}

static void (*const sources[])(struct palette *p) = {list_analyses, list_words, list_keys,
    list_panes, list_layouts, list_views, list_settings, list_datasets, list_models, list_sessions,
    list_files};

/* --- The list ---------------------------------------------------------------------------------- */

/* Better scores first; equal ones stay in the order of the sources. */
static void sort_in(struct palette *p, int index, int score)
{
    int i = p->n_found++;
    while (i > 0 && p->score[i - 1] < score) {
        p->found[i] = p->found[i - 1];
        p->score[i] = p->score[i - 1];
        i--;
    }
    p->found[i] = index;
    p->score[i] = score;
}

static void search(struct palette *p, const char *query)
{
    int at[SHOWN], n;
    p->n_found = p->at = p->top = 0;
    for (int i = 0; i < p->n; i++) {
        const struct entry *e = &p->list[i];
        int score = palette_score(query, e->name, at, &n, SHOWN);
        char whole[200];
        snprintf(whole, sizeof whole, "%s %s", e->kind, e->name);
        int kind = score < 0 ? palette_score(query, whole, at, &n, SHOWN) : -1;
        int help = score < 0 ? palette_score(query, e->help, at, &n, SHOWN) : -1;
        /* A sentence counts only where the letters stand together. */
        if (help >= 0 && n > 1 && at[n - 1] - at[0] > 2 * n)
            help = -1;
        if (score >= 0)
            sort_in(p, i, 2000 + score);
        else if (kind >= 0)
            sort_in(p, i, 1000 + kind);
        else if (help >= 0)
            sort_in(p, i, help);
    }
}

static int put_name(struct canvas *c, int x, int y, int w, const char *name, const char *query,
    struct style plain, struct style marked)
{
    int at[SHOWN], n, k = 0, used = 0;
    if (palette_score(query, name, at, &n, SHOWN) <= 0)
        n = 0;
    for (int i = 0; name[i] && used < w; i++) {
        char letter[2] = {name[i], '\0'};
        bool hit = k < n && at[k] == i;
        if ((unsigned char)name[i] >= 0x80)
            return used + canvas_text(c, x + used, y, w - used, plain, name + i);
        k += hit;
        used += canvas_text(c, x + used, y, 1, hit ? marked : plain, letter);
    }
    return used;
}

static void draw_entry(
    struct canvas *c, struct rect r, const struct entry *e, const char *query, bool is_at)
{
    const bool is_narrow = r.w < 66;
    int kind = 10, key = 11,
        name = is_narrow  ? r.w - 2 - kind - key
               : r.w > 88 ? 34
                          : 26,
        x = r.x + 1;
    if (is_at)
        canvas_text(c, r.x, r.y, 1, STYLE(KEY), c->glyphs == GLYPHS_ASCII ? ">" : "▸");
    canvas_text(c, x, r.y, kind - 1, STYLE(DIM), e->kind);
    put_name(c, x + kind, r.y, name - 1, e->name, query, is_at ? STYLE(STRONG) : STYLE(TEXT),
        STYLE(MATCH));
    int room = r.w - 2 - kind - name - key;
    if (!is_narrow)
        canvas_text(c, x + kind + name, r.y, room - 1, is_at ? STYLE(TEXT) : STYLE(DIM), e->help);
    canvas_right(c, r.x + r.w - 1, r.y, key - 1, STYLE(KEY), e->key);
    if (is_at && c->mode != COLOURS_NONE)
        canvas_guide(c, r);
}

static void draw(struct workbench *wb, struct canvas *c)
{
    struct palette *p = wb->palette;
    int w = wb->w - 4 < 108 ? wb->w - 4 : 108, h = wb->h - 4 < 24 ? wb->h - 4 : 24;
    struct rect box = {(wb->w - w) / 2, 2, w, h};
    char count[48];
    canvas_fill(c, (struct rect){box.x - 1, box.y, w + 2, h}, (struct style){0}, " ");
    struct rect in = canvas_frame(c, box, "everything by name", true), old = canvas_clip(c, in);
    canvas_text(c, in.x + 1, in.y, 2, STYLE(KEY), ">");
    wb->cursor_x = line_draw(&wb->line, c, in.x + 3, in.y, in.w - 20, STYLE(STRONG));
    wb->cursor_y = in.y;
    snprintf(count, sizeof count, "%d of %d", p->n_found, p->n);
    canvas_right(c, in.x + in.w - 1, in.y, 16, STYLE(DIM), count);
    p->box = (struct rect){in.x, in.y + 2, in.w, in.h - 3};
    p->rows = p->box.h;
    if (p->at < p->top)
        p->top = p->at;
    if (p->at >= p->top + p->rows)
        p->top = p->at - p->rows + 1;
    for (int i = 0; i < p->rows && p->top + i < p->n_found; i++)
        draw_entry(c, (struct rect){p->box.x, p->box.y + i, p->box.w, 1},
            &p->list[p->found[p->top + i]], wb->line.text, p->top + i == p->at);
    /* Where there is little room beside the names, the last line says what the chosen one is. */
    const bool is_told = in.w < 90 && p->at < p->n_found;
    canvas_text(c, in.x + 1, in.y + in.h - 1, in.w - 2, is_told ? STYLE(TEXT) : STYLE(DIM),
        is_told      ? p->list[p->found[p->at]].help
        : p->n_found ? "Enter does it   Up Down choose   Esc leaves"
                     : "nothing has these letters in this order; Backspace");
    c->clip = old;
}

static void close_palette(struct workbench *wb)
{
    wb->overlay = NULL;
    line_set(&wb->line, "");
}

static void choose(struct workbench *wb)
{
    struct palette *p = wb->palette;
    if (p->at >= p->n_found)
        return;
    struct entry e = p->list[p->found[p->at]];
    close_palette(wb);
    e.run(wb, &e);
}

static void step(struct palette *p, int by)
{
    p->at += by;
    p->at = p->at >= p->n_found ? p->n_found - 1 : p->at;
    p->at = p->at < 0 ? 0 : p->at;
}

static void click(struct workbench *wb, const struct key *k)
{
    struct palette *p = wb->palette;
    int row = k->y - p->box.y + p->top;
    if (k->x < p->box.x || k->x >= p->box.x + p->box.w || k->y < p->box.y ||
        k->y >= p->box.y + p->rows) {
        close_palette(wb);
    } else if (row < p->n_found) {
        bool again = row == p->at;
        p->at = row;
        if (again)
            choose(wb);
    }
}

static void key(struct workbench *wb, const struct key *k)
{
    static const struct {
        const char *name;
        int by;
    } steps[] = {{"Up", -1}, {"Down", 1}, {"Ctrl-P", -1}, {"Ctrl-N", 1}, {"PgUp", -10},
        {"PgDn", 10}, {"WheelUp", -3}, {"WheelDown", 3}, {"Shift-Tab", -1}, {"Tab", 1}};
    struct palette *p = wb->palette;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (!strcmp(steps[i].name, k->name)) {
            step(p, steps[i].by);
            return;
        }
    if (!strcmp(k->name, "Esc") || !strcmp(k->name, "Ctrl-G"))
        close_palette(wb);
    else if (!strcmp(k->name, "Enter"))
        choose(wb);
    else if (!strcmp(k->name, "Mouse"))
        click(wb, k);
    else if (line_key(&wb->line, k))
        search(p, wb->line.text);
}

void palette_release(struct workbench *wb)
{
    if (!wb->palette)
        return;
    arena_release(&wb->palette->arena);
    free(wb->palette);
    wb->palette = NULL;
}

void palette_open(struct workbench *wb)
{
    static const struct overlay overlay = {draw, key};
    struct err e;
    palette_release(wb);
    struct palette *p = wb->palette = calloc(1, sizeof *p);
    if (p)
        p->list = arena_array(&p->arena, ENTRIES, sizeof *p->list, &e);
    if (p)
        p->found = arena_array(&p->arena, ENTRIES, sizeof *p->found, &e);
    if (p)
        p->score = arena_array(&p->arena, ENTRIES, sizeof *p->score, &e);
    if (!p || !p->list || !p->found || !p->score) {
        palette_release(wb);
        workbench_say(wb, true, "no memory for the palette");
        return;
    }
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        sources[i](p);
    line_set(&wb->line, "");
    search(p, "");
    wb->overlay = &overlay;
}

void act_palette(struct workbench *wb, const struct key *k)
{
    (void)k;
    palette_open(wb);
}
