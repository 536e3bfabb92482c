#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/inputs.h"
#include "app/options.h"
#include "app/session.h"
#include "app/term.h"
#include "app/workbench.h"

/* Keys that wait are all taken before the screen is drawn again: a held arrow must not lag. */
static int loop(struct workbench *wb, struct term *t, struct err *e)
{
    struct canvas c;
    int w, h;
    term_size(t, &w, &h);
    int rc = canvas_init(&c, w, h, e);
    if (rc)
        return rc;
    while (!wb->wants_quit) {
        struct key k;
        struct engine_state s;
        term_size(t, &w, &h);
        if ((w != c.w || h != c.h) && (rc = canvas_resize(&c, w, h, e)) != 0)
            break;
        c.mode = wb->theme->mono ? COLOURS_NONE : term_colours(t);
        c.glyphs = wb->has_glyphs && wb->glyphs < term_glyphs(t) ? wb->glyphs : term_glyphs(t);
        workbench_draw(wb, &c);
        term_draw(t, &c, wb->cursor_x, wb->cursor_y);
        wb->engine->state(wb->engine, &s);
        int got = term_key(&k, t, wb->engine->wake_fd, s.is_busy || s.has_job ? 250 : -1);
        for (int n = 0; got == 1 && n < 64 && !wb->wants_quit; n++) {
            workbench_key(wb, &k);
            got = term_key(&k, t, -1, 0);
        }
        workbench_poll(wb);
        if (wb->copied) {
            if (!term_copy(t, wb->copied))
                workbench_say(wb, true, "too long for the clipboard of a terminal; e exports it");
            free(wb->copied);
            wb->copied = NULL;
        }
        if (wb->wants_suspend)
            term_suspend(t);
        if (wb->wants_redraw)
            term_redraw(t);
        wb->wants_suspend = wb->wants_redraw = false;
    }
    canvas_release(&c);
    return rc;
}

/* The first input of the command line becomes the prompt. */
static int first_prompt(
    const char **out, const struct command *c, struct arena *arena, struct err *e)
{
    struct sources sources;
    *out = DEFAULT_PROMPT;
    int rc = sources_gather(&sources, c, NULL, arena, e);
    if (!rc && sources.n > 0 && !sources.list[0].text)
        return err_set(e, ERR_USAGE, "the workbench takes text; use -p TEXT or -f FILE.txt");
    if (!rc && sources.n > 0)
        *out = sources.list[0].text;
    return rc;
}

static int run(struct session *s, const struct command *c, struct err *e)
{
    struct engine *g = NULL;
    struct term *t = NULL;
    struct workbench wb = {0};
    const char *prompt;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return err_set(e, ERR_USAGE,
            "the workbench needs a terminal; give a command, as in sonde run lens -p TEXT");
    int rc = first_prompt(&prompt, c, c->args.arena, e);
    progress_init(&s->progress, s->log, "none");
    if (!rc)
        rc = engine_create(&g, s, c, e);
    if (!rc)
        rc = workbench_init(&wb, g, prompt, true, e);
    if (!rc) {
        const struct param_value *edits = args_get(&c->args, "edit");
        const struct param_value *bos = args_get(&c->args, "prepend-bos");
        wb.bos = bos->has ? bos->b : true;
        for (int i = 0; i < edits->n_texts; i++)
            workbench_edit(&wb, edits->texts[i]);
        workbench_open(&wb, args_text(&c->args, "model"));
        options_apply(&wb, &c->args);
        struct term_opts opts = {.colour = args_text(&c->args, "color"),
            .ascii = args_bool(&c->args, "ascii"),
            .no_mouse = !wb.has_mouse};
        rc = term_open(&t, &opts, e);
    }
    if (!rc)
        rc = loop(&wb, t, e);
    term_close(&t);
    engine_release(&g);
    workbench_release(&wb);
    return rc;
}

const struct verb verb_workbench = {
    .name = "workbench",
    .brief = "open the workbench",
    .sets = FLAGS_MODEL | FLAGS_INPUT | FLAGS_ENGINE | FLAGS_EDIT | FLAGS_SEED,
    .params = option_params,
    .n_params = OPTION_COUNT,
    .is_hidden = true,
    .run = run,
};
