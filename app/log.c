#include "app/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/flags.h"
#include "app/settings.h"
#include "app/state.h"
#include "app/words.h"

#define LOG_MAX ((int64_t)64 << 20) /* bytes; a session that goes on longer is no longer recorded */

struct log {
    pthread_mutex_t lock;
    int fd;
    int64_t size;
    char path[4096];
    struct report *report;
    struct err e;
    char lost[128]; /* "": recorded */
};

static int create_named(struct log *l, struct err *e)
{
    char name[64], day[32];
    time_t now = time(NULL);
    struct tm tm;
    strftime(day, sizeof day, "%Y%m%d-%H%M%S", localtime_r(&now, &tm));
    for (int i = 1; i < 100; i++) {
        snprintf(name, sizeof name, i > 1 ? "sessions/%s_%d.log" : "sessions/%s.log", day, i);
        int rc = state_path(l->path, sizeof l->path, name, e);
        if (rc)
            return rc;
        l->fd = open(l->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
        if (l->fd >= 0 || errno != EEXIST)
            break;
    }
    return 0;
}

int log_open(struct log **out, const char *path, struct err *e)
{
    struct log *l = calloc(1, sizeof *l);
    if (!l)
        return err_set(e, ERR_LIMIT, "no memory for the session log");
    l->fd = -1;
    int rc = 0;
    if (path) {
        snprintf(l->path, sizeof l->path, "%s", path);
        l->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    } else {
        rc = create_named(l, e);
    }
    if (!rc && l->fd < 0)
        rc = err_set(
            e, ERR_OUTPUT, "%s: the session log cannot be written (%s)", l->path, strerror(errno));
    if (rc) {
        free(l);
        return rc;
    }
    pthread_mutex_init(&l->lock, NULL);
    *out = l;
    return 0;
}

void log_release(struct log **l)
{
    if (!*l)
        return;
    close((*l)->fd);
    pthread_mutex_destroy(&(*l)->lock);
    free(*l);
    *l = NULL;
}

bool log_is(const char *first_line)
{
    return !strncmp(first_line, "# sonde ", 8) && strstr(first_line, ", a session") != NULL;
}

const char *log_path(const struct log *l)
{
    return l->path;
}

void log_keep(struct log *l, struct report *report)
{
    l->report = report;
}

bool log_keeps(const struct log *l)
{
    return l && l->report;
}

static void lose(struct log *l, const char *why)
{
    snprintf(l->lost, sizeof l->lost, "%s", why);
    err_set(&l->e, ERR_OUTPUT, "%s: the session is not recorded any more (%s)", l->path, why);
}

/* The line and its end in one write: a crash leaves whole lines. So does a full disk: what it took of
 * a line is cut off again. */
static void put(struct log *l, const char *line)
{
    size_t n = strlen(line);
    if (*l->lost)
        return;
    if (l->size > LOG_MAX) {
        lose(l, "its log has 64 MB");
        return;
    }
    off_t end = lseek(l->fd, 0, SEEK_END);
    char *whole = malloc(n + 1);
    if (!whole) {
        lose(l, "out of memory");
        return;
    }
    memcpy(whole, line, n);
    whole[n] = '\n';
    for (size_t at = 0; at < n + 1;) {
        ssize_t got = write(l->fd, whole + at, n + 1 - at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            lose(l, !got || errno == ENOSPC || errno == EDQUOT ? "disk full" : strerror(errno));
            if (at && end >= 0)
                (void)!ftruncate(l->fd, end);
            break;
        }
        at += (size_t)got;
    }
    l->size += (int64_t)n + 1;
    free(whole);
}

void log_line(struct log *l, const char *line)
{
    pthread_mutex_lock(&l->lock);
    put(l, line);
    pthread_mutex_unlock(&l->lock);
}

void log_ran(struct log *l, const char *line, const struct report *report)
{
    struct err e = {0};
    pthread_mutex_lock(&l->lock);
    put(l, line);
    if (l->report && report && report_append(l->report, report, NULL, NULL, &e))
        l->e = e;
    pthread_mutex_unlock(&l->lock);
}

const char *log_lost(struct log *l)
{
    pthread_mutex_lock(&l->lock);
    const char *why = *l->lost ? l->lost : NULL;
    pthread_mutex_unlock(&l->lock);
    return why;
}

bool log_error(struct err *out, struct log *l)
{
    pthread_mutex_lock(&l->lock);
    *out = l->e;
    l->e = (struct err){0};
    pthread_mutex_unlock(&l->lock);
    return out->code;
}

/* --- Lines ------------------------------------------------------------------------------------- */

const char *log_model(const char *name, struct arena *arena, struct err *e)
{
    char real[PATH_MAX];
    return strchr(name, '/') && realpath(name, real) ? arena_strdup(arena, real, e) : name;
}

static void put_word(const char **line, const char *word, struct arena *arena, struct err *e)
{
    const char *quoted = *line ? words_quote(word, arena, e) : NULL;
    *line = quoted ? arena_printf(arena, e, "%s%s%s", *line, **line ? " " : "", quoted) : NULL;
}

/* The values a person gave, and those whose default the configuration changes. */
static int put_args(const char **line, const struct analysis *a, const struct args *args,
    struct arena *arena, struct err *e)
{
    struct args plain;
    int rc = args_init(&plain, a->params, a->n_params, arena, e);
    if (!rc)
        rc = settings_apply(&plain, a->id, e);
    for (int i = 0; i < args->n && !rc; i++) {
        const struct param_value *v = &args->values[i], *def = &plain.values[i];
        const char *text = v->text ? v->text : v->b ? "true" : "false";
        bool same = v->has == def->has && v->b == def->b &&
                    (!v->text || !def->text || !strcmp(v->text, def->text));
        if (!v->has || (!v->is_set && same))
            continue;
        const char *flag = arena_printf(arena, e, "--%s.%s=%s", a->id, a->params[i].name, text);
        if (!flag)
            return e->code;
        put_word(line, flag, arena, e);
    }
    return rc;
}

static void put_input(const char **line, const struct input *in, struct arena *arena, struct err *e)
{
    const char *ids = "";
    put_word(line, in->text ? "-p" : "--tokens", arena, e);
    for (int64_t i = 0; !in->text && i < in->n && ids; i++)
        ids = arena_printf(arena, e, "%s%s%d", ids, i ? "," : "", (int)in->tokens[i]);
    put_word(line, in->text ? in->text : ids ? ids : "", arena, e);
}

const char *log_run_line(
    const char *model, const struct job *job, struct arena *arena, struct err *e)
{
    const char *line = "run", *names = "";
    for (int i = 0; i < job->n && names; i++)
        names = arena_printf(arena, e, "%s%s%s", names, i ? "," : "", job->list[i]->id);
    if (!names)
        return NULL;
    put_word(&line, names, arena, e);
    put_word(&line, "-m", arena, e);
    const char *name = log_model(model, arena, e);
    put_word(&line, name ? name : model, arena, e);
    for (int i = 0; i < job->n_inputs; i++)
        put_input(&line, &job->inputs[i], arena, e);
    if (!job->prepend_bos)
        put_word(&line, "--no-prepend-bos", arena, e);
    for (int i = 0; i < job->n; i++)
        if (put_args(&line, job->list[i], &job->args[i], arena, e))
            return NULL;
    for (int i = 0; job->edits && i < job->edits->n; i++) {
        if (job->edits->list[i].is_off)
            continue;
        put_word(&line, "--edit", arena, e);
        put_word(&line, job->edits->list[i].text, arena, e);
    }
    if (job->seed) {
        const char *seed = arena_printf(arena, e, "--seed=%llu", (unsigned long long)job->seed);
        put_word(&line, seed ? seed : "", arena, e);
    }
    return line;
}

/* --- Earlier sessions -------------------------------------------------------------------------- */

static int newest_first(const void *a, const void *b)
{
    return strcmp(*(const char *const *)b, *(const char *const *)a);
}

int log_list(const char **paths, int max, const struct log *own, struct arena *arena, struct err *e)
{
    char folder[4096];
    const char *found[4096];
    int n = 0, k = 0, rc = state_path(folder, sizeof folder, "sessions/", e);
    DIR *dir = rc ? NULL : opendir(folder);
    for (const struct dirent *d; dir && n < 4096 && (d = readdir(dir));) {
        size_t len = strlen(d->d_name);
        if (len > 4 && !strcmp(d->d_name + len - 4, ".log"))
            found[n] = arena_printf(arena, e, "%s%s", folder, d->d_name), n += found[n] != NULL;
    }
    if (dir)
        closedir(dir);
    qsort(found, (size_t)n, sizeof *found, newest_first);
    for (int i = 0; i < n && k < max; i++)
        if (!own || strcmp(found[i], own->path) != 0)
            paths[k++] = found[i];
    return rc ? rc : k;
}
