#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/browse.h"
#include "app/history.h"
#include "app/inputs.h"
#include "app/journal.h"
#include "app/log.h"
#include "app/options.h"
#include "app/output.h"
#include "app/saver.h"
#include "app/session.h"
#include "app/signals.h"
#include "app/term.h"
#include "app/tour.h"
#include "app/workbench.h"
#include "model/core/stream.h"

/* Keys that wait are all taken before the screen is drawn again: a held arrow must not lag. */
static int loop(struct workbench *wb, struct term *t, struct err *e)
{
    struct canvas c;
    int w, h;
    bool journal_waits = false;
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
        term_mouse(t, wb->has_mouse);
        workbench_draw(wb, &c);
        term_draw(t, &c, wb->cursor_x, wb->cursor_y);
        wb->engine->state(wb->engine, &s);
        int got = term_key(&k, t, wb->engine->wake_fd,
            s.is_busy || s.has_job ? 250
            : journal_waits        ? 1100
                                   : -1);
        for (int n = 1; got == 1 && !wb->wants_quit; n++) {
            workbench_key(wb, &k);
            /* A key that is read is acted on: none is taken beyond the last of this round. */
            got = n < 64 ? term_key(&k, t, -1, 0) : 0;
        }
        workbench_poll(wb);
        journal_waits = wb->journal && journal_note(wb->journal, wb, false);
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

/* The log of the session, and with -o the document that gets every run. */
static int open_records(struct report **report, struct workbench *wb, struct session *s,
    const struct command *c, struct err *e)
{
    struct err lost = {0};
    const char *path = args_text(&c->args, "output"), *log = args_text(&c->args, "log");
    if (!args_bool(&c->args, "record") && !path && !log)
        return 0;
    if (output_check(path, e))
        return e->code;
    if (log_open(&wb->engine->log, log, log || path ? e : &lost)) {
        /* A home that cannot be written is no reason not to work. */
        if (log || path)
            return e->code;
        workbench_say(wb, false, "this session is not recorded: %s", lost.msg);
        return 0;
    }
    log_line(wb->engine->log, LOG_HEAD);
    int rc = journal_open(&wb->journal, wb->engine->log, e);
    if (!rc && path)
        rc = output_report(report, path, s, c->text, e);
    if (!rc && path)
        log_keep(wb->engine->log, *report);
    return rc;
}

/* Where the session begins: an earlier one, then what the command line says. */
static int set_up(struct workbench *wb, const struct command *c, struct err *e)
{
    const struct param_value *edits = args_get(&c->args, "edit");
    const struct param_value *bos = args_get(&c->args, "prepend-bos");
    const struct param_value *model = args_get(&c->args, "model");
    const char *resume = args_text(&c->args, "session");
    if (!resume && args_bool(&c->args, "resume"))
        resume = "last";
    char path[4096];
    wb->bos = bos->has ? bos->b : true;
    options_apply(wb, &c->args);
    if (resume) {
        int rc = journal_find(path, sizeof path, resume, wb->engine->log, e);
        if (!rc)
            rc = journal_replay(wb, path, e);
        if (rc)
            return rc;
    }
    for (int i = 0; i < edits->n_texts; i++)
        workbench_edit(wb, edits->texts[i]);
    if (!c->n_operands || model->is_set)
        workbench_open(
            wb, resume && !model->is_set && *wb->asked_model ? wb->asked_model : model->text);
    return 0;
}

int workbench_run(struct session *s, const struct command *c, struct err *e)
{
    struct engine *g = NULL;
    struct term *t = NULL;
    struct workbench wb = {0};
    struct report *report = NULL;
    struct log *log = NULL;
    struct err unsaved;
    const char *prompt;
    if (s->outer)
        return err_set(e, ERR_USAGE,
            "a workbench or a batch cannot open a workbench; in one, :open FILE looks into a file");
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return err_set(e, ERR_USAGE,
            "the workbench needs a terminal; give a command, as in sonde run lens -p TEXT");
    int rc = first_prompt(&prompt, c, c->args.arena, e);
    stream_keys(true);
    progress_init(&s->progress, s->log, "none");
    if (!rc)
        rc = engine_create(&g, s, c, e);
    if (!rc)
        rc = workbench_init(&wb, g, prompt, true, e);
    wb.remembers = true;
    if (!rc)
        rc = history_load(wb.history, e);
    if (!rc)
        rc = open_records(&report, &wb, s, c, e);
    if (!rc)
        rc = set_up(&wb, c, e);
    if (!rc) {
        struct term_opts opts = {.colour = args_text(&c->args, "color"),
            .ascii = args_bool(&c->args, "ascii"),
            .no_mouse = !wb.has_mouse};
        rc = term_open(&t, &opts, e);
    }
    if (!rc && c->n_operands)
        browse_open(&wb, c->operands[0], c->n_operands > 1 ? c->operands[1] : NULL);
    if (!rc && !c->n_operands)
        tour_first(&wb);
    if (!rc)
        rc = loop(&wb, t, e);
    term_close(&t);
    if (saver_is_busy(&wb)) {
        session_note(s, "what is to be saved is written to its end; Ctrl-C stops it");
        signals_clear();
    }
    if (saver_release(&wb.saver, &unsaved))
        session_note(s, "%s", unsaved.msg);
    layouts_save(&wb);
    if (wb.journal)
        journal_note(wb.journal, &wb, true);
    log = g ? g->log : NULL;
    if (log && log_lost(log))
        session_note(s, "%s ends early: the session was not recorded any more (%s)", log_path(log),
            log_lost(log));
    engine_release(&g);
    workbench_release(&wb);
    log_release(&log);
    stream_keys(false);
    return output_close(&report, args_text(&c->args, "output"), rc, s, e);
}

const struct param workbench_params[WORKBENCH_PARAMS] = {
#define OPTION(n, t, d, c, h) {.name = #n, .type = t, .def = d, .choices = c, .help = h},
#include "app/options.def"
#undef OPTION
    {.name = "resume", .type = PARAM_BOOL, .help = "reopen the last session"},
    {.name = "session",
        .type = PARAM_STRING,
        .metavar = "LOG",
        .help = "reopen an earlier session: its log, or 2 for the last but one"},
    {.name = "log",
        .type = PARAM_FILE,
        .metavar = "FILE",
        .help = "record the session here, not in a new file under $XDG_STATE_HOME/sonde/sessions"},
};

const struct verb verb_workbench = {
    .name = "workbench",
    .brief = "open the workbench",
    .sets = FLAGS_MODEL | FLAGS_INPUT | FLAGS_ENGINE | FLAGS_EDIT | FLAGS_SEED | FLAGS_OUTPUT,
    .params = workbench_params,
    .n_params = WORKBENCH_PARAMS,
    .is_hidden = true,
    .run = workbench_run,
};
