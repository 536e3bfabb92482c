#include "app/saver.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/signals.h"
#include "model/core/machine.h"
#include "model/core/outfile.h"
#include "model/core/parallel.h"

struct saving {
    struct save_work work;
    char path[4096];
    uint64_t job; /* in the list, 0: there is none */
    int rc;
    struct err e;
    struct saving *next;
};

struct saver {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct saving *first, *done; /* those to write, the first is under way; those that ended */
    bool is_ending;
    struct jobs *jobs; /* NULL: nobody lists them */
    int wake_fd;
    double told;
};

static void wake_screen(const struct saver *s)
{
    uint64_t one = 1;
    ssize_t n = s->wake_fd >= 0 ? write(s->wake_fd, &one, sizeof one) : 0;
    (void)n;
}

static int step(void *saver, double done, double total)
{
    struct saver *s = saver;
    const double now = machine_seconds();
    pthread_mutex_lock(&s->lock);
    const uint64_t job = s->first->job;
    const bool is_ending = s->is_ending;
    pthread_mutex_unlock(&s->lock);
    if (now - s->told > 0.25) {
        s->told = now;
        wake_screen(s);
    }
    return (job && jobs_step(s->jobs, job, "writing", done, total)) ||
           (is_ending && signals_stopped());
}

static void end_job(struct saver *s, const struct saving *v)
{
    if (v->job)
        jobs_end(s->jobs, v->job,
            !v->rc                ? JOB_DONE
            : v->rc == ERR_CANCEL ? JOB_CANCELLED
                                  : JOB_FAILED,
            v->rc ? v->e.msg : NULL, NULL);
}

static void *loop(void *arg)
{
    struct saver *s = arg;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->first && !s->is_ending)
            pthread_cond_wait(&s->wake, &s->lock);
        struct saving *v = s->first;
        if (!v)
            break;
        pthread_mutex_unlock(&s->lock);
        v->rc = v->work.write(v->work.arg, v->path, step, s, &v->e);
        v->work.release(v->work.arg);
        end_job(s, v);
        pthread_mutex_lock(&s->lock);
        struct saving **end = &s->done;
        while (*end)
            end = &(*end)->next;
        s->first = v->next;
        v->next = NULL;
        *end = v;
        wake_screen(s);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* NULL: no memory or no thread for it. */
static struct saver *saver_of(struct workbench *wb)
{
    struct saver *s = wb->saver ? NULL : calloc(1, sizeof *s);
    if (!s)
        return wb->saver;
    s->jobs = wb->engine->jobs;
    s->wake_fd = wb->engine->wake_fd;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    const int failed = thread_start(&s->thread, NULL, loop, s);
    if (failed) {
        pthread_mutex_destroy(&s->lock);
        pthread_cond_destroy(&s->wake);
        free(s);
        return NULL;
    }
    return wb->saver = s;
}

void saver_start(struct workbench *wb, const char *path, const struct save_work *work)
{
    struct saver *s = saver_of(wb);
    struct saving *v = s ? calloc(1, sizeof *v) : NULL;
    char name[160];
    if (!v) {
        work->release(work->arg);
        workbench_say(wb, true, "no memory to write %s", path);
        return;
    }
    v->work = *work;
    snprintf(v->path, sizeof v->path, "%s", path);
    snprintf(name, sizeof name, "save %s %s", work->what, path);
    v->job = s->jobs && work->is_listed ? jobs_begin(s->jobs, name) : 0;
    pthread_mutex_lock(&s->lock);
    struct saving **end = &s->first;
    while (*end)
        end = &(*end)->next;
    *end = v;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    workbench_say(wb, false, "writing %s", path);
}

bool saver_is_busy(const struct workbench *wb)
{
    struct saver *s = wb->saver;
    if (!s)
        return false;
    pthread_mutex_lock(&s->lock);
    const bool is_busy = s->first;
    pthread_mutex_unlock(&s->lock);
    return is_busy;
}

/* The oldest that ended, NULL: none. */
static struct saving *take_done(struct saver *s)
{
    pthread_mutex_lock(&s->lock);
    struct saving *v = s->done;
    if (v)
        s->done = v->next;
    pthread_mutex_unlock(&s->lock);
    return v;
}

/* "1.2 MB", "312 bytes" */
static void size_text(char *buf, size_t n, const char *path)
{
    struct stat st;
    if (stat(path, &st))
        snprintf(buf, n, "written");
    else if (st.st_size < 10000)
        snprintf(buf, n, "%lld bytes", (long long)st.st_size);
    else
        snprintf(buf, n, "%.3g MB", (double)st.st_size / 1e6);
}

bool saver_poll(struct workbench *wb)
{
    bool any = false;
    for (struct saving *v; wb->saver && (v = take_done(wb->saver)); any = true) {
        char size[32];
        size_text(size, sizeof size, v->path);
        if (v->rc == ERR_CANCEL)
            workbench_say(wb, false, "%s is not written: it was stopped", v->path);
        else if (v->rc)
            workbench_say(wb, true, "%s", v->e.msg);
        else
            workbench_say(wb, false, "%s in %s, %s", v->work.what, v->path, size);
        free(v);
    }
    return any;
}

int saver_release(struct saver **s, struct err *e)
{
    int rc = 0;
    if (!*s)
        return 0;
    pthread_mutex_lock(&(*s)->lock);
    (*s)->is_ending = true;
    pthread_cond_signal(&(*s)->wake);
    pthread_mutex_unlock(&(*s)->lock);
    pthread_join((*s)->thread, NULL);
    for (struct saving *v; (v = take_done(*s)); free(v))
        if (v->rc && !rc) {
            rc = v->rc;
            *e = v->e;
        }
    pthread_mutex_destroy(&(*s)->lock);
    pthread_cond_destroy(&(*s)->wake);
    free(*s);
    *s = NULL;
    return rc;
}

/* --- Texts ------------------------------------------------------------------------------------- */

static int write_text(void *arg, const char *path, save_step *fn, void *saver, struct err *e)
{
    const struct buf *b = arg;
    struct outfile o = {0};
    (void)fn, (void)saver;
    if (outfile_open(&o, path, e))
        return e->code;
    if (b->n && fwrite(b->data, 1, b->n, o.f) != b->n) {
        outfile_discard(&o);
        return err_set(e, ERR_OUTPUT, "%s could not be written; is the disk full?", path);
    }
    return outfile_commit(&o, e);
}

static void release_text(void *arg)
{
    buf_release(arg);
    free(arg);
}

void saver_text(struct workbench *wb, const char *what, const char *path, struct buf *b)
{
    struct save_work work = {.write = write_text, .release = release_text};
    struct buf *own = b->failed ? NULL : malloc(sizeof *own);
    if (!own) {
        buf_release(b);
        workbench_say(wb, true, "no memory for %s", path);
        return;
    }
    *own = *b;
    *b = (struct buf){0};
    work.arg = own;
    snprintf(work.what, sizeof work.what, "%s", what);
    saver_start(wb, path, &work);
}
