#include <string.h>

#include "app/asked.h"
#include "app/colon.h"
#include "app/desk.h"
#include "app/log.h"
#include "app/output.h"
#include "app/signals.h"
#include "app/words.h"
#include "model/core/stream.h"

#define DEPTH_MOST 8 /* of batches within batches: a file that names itself ends here */

/* A line may begin with the program's name, as in a log or a shell script. */
static int run_line(struct session *s, struct desk *desk, const char *line, struct err *e)
{
    struct arena arena = {0};
    char **words;
    int n, rc = words_split(&words, &n, line, &arena, e);
    if (!rc && n) {
        int skip = !strcmp(words[0], "sonde");
        if (!skip && word_find(words[0]))
            rc = desk_word(desk, line, e);
        else if (n > skip && !verb_find(words[skip]))
            rc = err_set(e, ERR_USAGE,
                "\"%.40s\" is no command of a batch (sonde --help lists all)", words[skip]);
        else if (n > skip)
            rc = session_run(s, words + skip, n - skip, e);
    }
    arena_release(&arena);
    return rc;
}

/* A log has as comments what was asked for and not done: a replay leaves it out, and says so. */
static void tell_left(struct session *s, struct asked *asked, const char *path)
{
    const int n = asked_left(asked);
    if (n)
        session_note(s,
            "%s: %d command%s asked for and not done (\"# asked:\") left out; --session "
            "offers %s",
            path, n, n > 1 ? "s were" : " was", n > 1 ? "them" : "it");
    asked_release(asked);
}

static int run_lines(
    struct session *s, struct desk *desk, struct stream *in, const char *path, struct err *e)
{
    const char *line;
    size_t n;
    struct asked asked = {0};
    int rc, answer = 0;
    bool is_session = false;
    while ((rc = stream_line(&line, &n, in, 0, e)) == 1) {
        is_session = is_session || (stream_lines(in) == 1 && log_is(line));
        if (is_session && stream_torn(in)) {
            session_note(s, "%s: the last line was not written to its end and is left out", path);
            continue;
        }
        if (strlen(line) != n)
            rc = err_set(e, ERR_INPUT, "a NUL byte; a batch is text");
        else if (is_session && (rc = asked_hear(&asked, line, e)) != 0)
            break;
        else
            rc = signals_stopped() ? err_set(e, ERR_CANCEL, "interrupted")
                                   : run_line(s, desk, line, e);
        if (rc < 0) {
            err_prefix(e, "%s:%lld", path, (long long)stream_lines(in));
            break;
        }
        if (rc > answer)
            answer = rc;
    }
    tell_left(s, &asked, path);
    return rc < 0 ? rc : answer;
}

static int run(struct session *s, const struct command *c, struct err *e)
{
    const char *path = args_text(&c->args, "output");
    const bool looked_at = s->watch && !s->batches;
    struct stream *in;
    struct pool *pool;
    int rc = output_check(path, e);
    if (!rc && s->batches == DEPTH_MOST)
        rc = err_set(e, ERR_USAGE, "batches stand more than %d deep in each other", DEPTH_MOST);
    if (!rc)
        rc = session_pool(&pool, s, c, e);
    if (!rc)
        rc = stream_open(&in, c->operands[0], e);
    if (rc)
        return rc;
    struct report *outer = s->report;
    const struct args *outer_args = s->outer;
    bool was_quiet = s->is_quiet;
    const struct desk *outer_desk = s->desk;
    struct desk desk = {0};
    s->outer = &c->args;
    s->desk = &desk;
    struct held_report *held = NULL;
    if (path || looked_at)
        rc = output_report(&s->report, path, s, c->text, e);
    /* In the workbench all lines fill one document, which is looked at meanwhile. */
    if (!rc && !path && looked_at && (rc = held_report_create(&held, s->report, e)) == 0)
        s->watch->report(s->watch->arg, held);
    s->batches++;
    if (!rc)
        rc = run_lines(s, &desk, in, c->operands[0], e);
    s->batches--;
    s->desk = outer_desk;
    desk_release(&desk);
    s->is_quiet = was_quiet;
    s->outer = outer_args;
    if (path)
        rc = output_close(&s->report, path, rc, s, e);
    held_report_release(&held);
    s->report = outer;
    stream_release(&in);
    return rc;
}

const struct verb verb_batch = {
    .name = "batch",
    .operands = "FILE",
    .brief = "run a file of commands, one a line",
    .help =
        "The file holds commands as they are typed after sonde; the word sonde itself may stand "
        "first. Words are quoted as in a shell, a line that begins with # is a comment, and - "
        "reads standard input. With -o the runs of all lines go to one report. The first error "
        "ends the batch; a batch in a batch fills its report. A session log is such a file: its "
        "words of the workbench (model, prompt, "
        "bos, "
        "edit) hold for the lines behind them, and those about the screen are passed over.",
    .example = "  run lens -p 'Mara went to the'\n"
               "  run dla -p 'Mara went to the' --target ' harbour'",
    .sets = FLAGS_OUTPUT | FLAGS_ENGINE,
    .min_operands = 1,
    .max_operands = 1,
    .operand = OPERAND_FILE,
    .run = run,
};
