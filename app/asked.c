#include "app/asked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/command.h"
#include "app/words.h"
#include "views/buf.h"

#define AS "#     as "
#define WHY "#     "
/* How many are offered; the oldest goes first. */
#define LEFT_MOST 64
#define GONE_MOST 24

/* The comment of each state; NULL: the line itself, or nothing. */
static const char *const heads[JOB_STATES] = {
    [JOB_WAITING] = "# asked: ",
    [JOB_CANCELLED] = "# cancelled: ",
    [JOB_FAILED] = "# failed: ",
    [JOB_LEFT] = "# asked: ",
    [JOB_GONE] = "# gone: ",
};
#define DROPPED "# dropped: "

/* --- Writing ----------------------------------------------------------------------------------- */

/* A line of the log is one line: what would end it becomes a blank. */
static void put_flat(struct buf *b, const char *text)
{
    for (; *text; text++)
        buf_put(b, *text == '\n' || *text == '\r' ? " " : text, 1);
}

void asked_write(struct log *l, const struct job_view *v, const char *line, bool is_dropped)
{
    struct buf b = {0};
    const char *head = is_dropped ? DROPPED : heads[v->state];
    if (!l || !head)
        return;
    buf_puts(&b, head);
    put_flat(&b, line);
    if (!is_dropped && v->state == JOB_FAILED) {
        buf_puts(&b, "\n" WHY);
        put_flat(&b, v->message);
    } else if (!is_dropped && v->state != JOB_CANCELLED && strcmp(v->name, line) != 0) {
        buf_puts(&b, "\n" AS);
        put_flat(&b, v->name);
    }
    if (!b.failed)
        log_line(l, b.data);
    buf_release(&b);
}

/* --- Reading ----------------------------------------------------------------------------------- */

static void forget(struct asked *a, int i)
{
    free(a->list[i].line);
    free(a->list[i].name);
    memmove(a->list + i, a->list + i + 1, (size_t)(--a->n - i) * sizeof *a->list);
}

void asked_release(struct asked *a)
{
    while (a->n)
        forget(a, a->n - 1);
    free(a->list);
    *a = (struct asked){0};
}

int asked_left(const struct asked *a)
{
    int n = 0;
    for (int i = 0; i < a->n; i++)
        n += !a->list[i].is_done;
    return n;
}

/* The last of that line, -1: none. */
static int find(const struct asked *a, const char *line, bool is_done)
{
    int i = a->n - 1;
    while (i >= 0 && (a->list[i].is_done != is_done || strcmp(a->list[i].line, line) != 0))
        i--;
    return i;
}

static int add(struct asked *a, const char *line, bool is_done, struct err *e)
{
    int of_kind = 0, oldest = -1;
    for (int i = a->n - 1; i >= 0; i--)
        if (a->list[i].is_done == is_done) {
            of_kind++;
            oldest = i;
        }
    if (of_kind >= (is_done ? GONE_MOST : LEFT_MOST))
        forget(a, oldest);
    struct asked_job *grown = realloc(a->list, (size_t)(a->n + 1) * sizeof *grown);
    if (grown)
        a->list = grown;
    char *copy = grown ? strdup(line) : NULL;
    if (!copy)
        return err_set(e, ERR_LIMIT, "no memory for the jobs of a session");
    a->list[a->n++] = (struct asked_job){.line = copy, .is_done = is_done};
    return 0;
}

/* Whether what it made was lost with the session: a report that no file holds. */
static bool is_lost(const char *line)
{
    struct arena scratch = {0};
    struct command c;
    struct err e;
    char **words;
    int n;
    bool is = !words_split(&words, &n, line, &scratch, &e) && n > 0 && !strcmp(words[0], "run") &&
              !command_parse(&c, words, n, &scratch, &e) && !args_text(&c.args, "output");
    arena_release(&scratch);
    return is;
}

/* It was run. Equal lines have equal results: all of them are done. */
static int take_done(struct asked *a, const char *line, struct err *e)
{
    int at = find(a, line, false), rc = 0;
    if (at < 0)
        return 0;
    char *name = a->list[at].name;
    a->list[at].name = NULL;
    for (int i = a->n - 1; i >= 0; i--)
        if (!strcmp(a->list[i].line, line))
            forget(a, i);
    if (!is_lost(line) || (rc = add(a, line, true, e)) != 0)
        free(name);
    else
        a->list[a->n - 1].name = name;
    return rc;
}

/* What stands behind a head; NULL: another one. */
static const char *behind(const char *line, const char *head)
{
    const size_t n = strlen(head);
    return strncmp(line, head, n) ? NULL : line + n;
}

int asked_hear(struct asked *a, const char *line, struct err *e)
{
    const char *rest;
    const char last = a->last;
    a->last = '\0';
    if (*line != '#')
        return take_done(a, line, e);
    if ((rest = behind(line, AS)) && last == 'a' && a->n) {
        free(a->list[a->n - 1].name);
        a->list[a->n - 1].name = strdup(rest);
        return a->list[a->n - 1].name ? 0 : err_set(e, ERR_LIMIT, "no memory for a job's name");
    }
    if ((rest = behind(line, heads[JOB_WAITING])) || (rest = behind(line, heads[JOB_GONE]))) {
        const bool is_done = line[2] == heads[JOB_GONE][2];
        a->last = 'a';
        return add(a, rest, is_done, e);
    }
    if (!(rest = behind(line, heads[JOB_CANCELLED])) && !(rest = behind(line, heads[JOB_FAILED])) &&
        !(rest = behind(line, DROPPED)))
        return 0;
    int at = find(a, rest, false);
    at = at < 0 ? find(a, rest, true) : at;
    if (at >= 0)
        forget(a, at);
    return 0;
}
