#include "app/jobs.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/core/machine.h"

#define ENDED_MAX 24 /* results kept; the oldest goes first */

const char *const job_state_names[JOB_STATES] = {
    [JOB_WAITING] = "waiting",
    [JOB_RUNNING] = "running",
    [JOB_DONE] = "done",
    [JOB_CANCELLED] = "cancelled",
    [JOB_FAILED] = "failed",
    [JOB_LEFT] = "not done",
    [JOB_GONE] = "gone",
};

struct job_row {
    struct job_view view;
    char *line, *text;
    struct held_report *report;
    bool wants_stop, is_asked; /* is_asked: what it will take */
    struct job_row *next;
};

/* Rows in the order they run; ended ones in the order they ended, and those of an earlier session in
 * the order they came, before the others. */
struct jobs {
    pthread_mutex_t lock;
    struct job_row *first;
    uint64_t last_id;
    jobs_tell *tell; /* NULL: nobody */
    void *tell_arg;
};

/* --- Reports that several hold ----------------------------------------------------------------- */

int held_report_create(struct held_report **out, struct report *owned, struct err *e)
{
    struct held_report *h = malloc(sizeof *h);
    if (!h)
        return err_set(e, ERR_LIMIT, "no memory for a report");
    h->report = owned;
    atomic_init(&h->holders, 1);
    *out = h;
    return 0;
}

struct held_report *held_report_share(struct held_report *h)
{
    if (h)
        atomic_fetch_add(&h->holders, 1);
    return h;
}

void held_report_release(struct held_report **h)
{
    if (*h && atomic_fetch_sub(&(*h)->holders, 1) == 1) {
        report_abandon(&(*h)->report);
        free(*h);
    }
    *h = NULL;
}

/* --- The queue --------------------------------------------------------------------------------- */

static bool is_open(const struct job_row *r)
{
    return r->view.state == JOB_WAITING || r->view.state == JOB_RUNNING;
}

/* Ended in this session: what ENDED_MAX counts. */
static bool is_ended(const struct job_row *r)
{
    return r->view.state > JOB_RUNNING && r->view.state < JOB_LEFT;
}

static void tell(const struct jobs *q, const struct job_row *r, bool is_dropped)
{
    if (q->tell && *r->line)
        q->tell(q->tell_arg, &r->view, r->line, is_dropped);
}

static void row_free(struct job_row *r)
{
    held_report_release(&r->report);
    free(r->line);
    free(r->text);
    free(r);
}

/* The pointer to the row, so that it can be taken out; to NULL: no such job. */
static struct job_row **find(struct jobs *q, uint64_t id)
{
    struct job_row **r = &q->first;
    while (*r && (*r)->view.id != id)
        r = &(*r)->next;
    return r;
}

int jobs_create(struct jobs **out, struct err *e)
{
    struct jobs *q = calloc(1, sizeof *q);
    if (!q)
        return err_set(e, ERR_LIMIT, "no memory for the queue of jobs");
    pthread_mutex_init(&q->lock, NULL);
    *out = q;
    return 0;
}

void jobs_release(struct jobs **q)
{
    if (!*q)
        return;
    for (struct job_row *r = (*q)->first, *next; r; r = next) {
        next = r->next;
        row_free(r);
    }
    pthread_mutex_destroy(&(*q)->lock);
    free(*q);
    *q = NULL;
}

void jobs_watch(struct jobs *q, jobs_tell *fn, void *arg)
{
    pthread_mutex_lock(&q->lock);
    q->tell = fn;
    q->tell_arg = arg;
    pthread_mutex_unlock(&q->lock);
}

/* NULL: out of memory. */
static struct job_row *row_create(const char *line, const char *name, enum job_state state)
{
    struct job_row *r = calloc(1, sizeof *r);
    if (!r || !(r->line = strdup(line))) {
        free(r);
        return NULL;
    }
    snprintf(r->view.name, sizeof r->view.name, "%s", name);
    r->view.state = state;
    return r;
}

/* The row of an earlier session that has the line; to NULL: none. */
static struct job_row **find_earlier(struct jobs *q, const char *line)
{
    struct job_row **r = &q->first;
    while (*r && ((*r)->view.state < JOB_LEFT || strcmp((*r)->line, line) != 0))
        r = &(*r)->next;
    return r;
}

/* Behind all others; the lock is held. */
static uint64_t put_last(struct jobs *q, struct job_row *r)
{
    struct job_row **end = &q->first;
    while (*end)
        end = &(*end)->next;
    *end = r;
    return r->view.id = ++q->last_id;
}

uint64_t jobs_add(struct jobs *q, const char *line, const char *name, uint64_t serial)
{
    struct job_row *r = row_create(line, name, JOB_WAITING), *was;
    if (!r)
        return 0;
    r->view.serial = serial;
    r->view.asked = machine_seconds();
    pthread_mutex_lock(&q->lock);
    struct job_row **earlier = find_earlier(q, line);
    if ((was = *earlier))
        *earlier = was->next;
    uint64_t id = put_last(q, r);
    tell(q, r, false);
    pthread_mutex_unlock(&q->lock);
    if (was)
        row_free(was);
    return id;
}

uint64_t jobs_begin(struct jobs *q, const char *name)
{
    struct job_row *r = row_create("", name, JOB_RUNNING);
    if (!r)
        return 0;
    r->view.asked = r->view.began = machine_seconds();
    r->view.is_aside = true;
    pthread_mutex_lock(&q->lock);
    uint64_t id = put_last(q, r);
    pthread_mutex_unlock(&q->lock);
    return id;
}

uint64_t jobs_offer(struct jobs *q, const char *line, const char *name, enum job_state state)
{
    struct job_row *r = row_create(line, name, state), **at = &q->first;
    uint64_t id = 0;
    if (!r)
        return 0;
    pthread_mutex_lock(&q->lock);
    bool is_known = false;
    for (const struct job_row *k = q->first; k; k = k->next)
        is_known = is_known || (!strcmp(k->line, line) && k->view.state != JOB_CANCELLED &&
                                   k->view.state != JOB_FAILED);
    while (*at && (*at)->view.state >= JOB_LEFT)
        at = &(*at)->next;
    if (!is_known) {
        r->next = *at;
        *at = r;
        id = r->view.id = ++q->last_id;
        tell(q, r, false);
        r = NULL;
    }
    pthread_mutex_unlock(&q->lock);
    if (r)
        row_free(r);
    return id;
}

/* Where a row stands in the list. */
static int rank(const struct job_row *r)
{
    static const int ranks[JOB_STATES] = {[JOB_RUNNING] = 0,
        [JOB_WAITING] = 1,
        [JOB_LEFT] = 2,
        [JOB_DONE] = 3,
        [JOB_CANCELLED] = 3,
        [JOB_FAILED] = 3,
        [JOB_GONE] = 4};
    return ranks[r->view.state];
}

int jobs_list(struct jobs *q, struct job_view *out, int max)
{
    int n = 0;
    pthread_mutex_lock(&q->lock);
    for (int k = 0; k <= 4; k++) {
        int of_rank = 0;
        for (const struct job_row *r = q->first; r; r = r->next)
            of_rank += rank(r) == k;
        const int room = of_rank < max - n ? of_rank : max - n;
        int at = k == 3 ? of_rank : -1; /* the newest first */
        for (const struct job_row *r = q->first; r; r = r->next)
            if (rank(r) == k && (at += k == 3 ? -1 : 1) < room)
                out[n + at] = r->view;
        n += room;
    }
    pthread_mutex_unlock(&q->lock);
    return n;
}

bool jobs_find(struct jobs *q, struct job_view *out, uint64_t id)
{
    pthread_mutex_lock(&q->lock);
    const struct job_row *r = *find(q, id);
    if (r)
        *out = r->view;
    pthread_mutex_unlock(&q->lock);
    return r;
}

int jobs_open(struct jobs *q)
{
    int n = 0;
    pthread_mutex_lock(&q->lock);
    for (const struct job_row *r = q->first; r; r = r->next)
        n += is_open(r) && !r->view.is_aside;
    pthread_mutex_unlock(&q->lock);
    return n;
}

/* Behind the other ended ones; the oldest beyond ENDED_MAX is returned to be freed. */
static struct job_row *end_row(struct jobs *q, struct job_row *r, enum job_state state)
{
    struct job_row **at = find(q, r->view.id), **oldest = &q->first;
    int ended = 0;
    r->view.state = state;
    r->view.ended = machine_seconds();
    *at = r->next;
    for (at = &q->first; *at && !is_open(*at); at = &(*at)->next)
        ended += is_ended(*at);
    r->next = *at;
    *at = r;
    if (ended < ENDED_MAX)
        return NULL;
    while (!is_ended(*oldest))
        oldest = &(*oldest)->next;
    struct job_row *gone = *oldest;
    *oldest = gone->next;
    return gone;
}

bool jobs_cancel(struct jobs *q, uint64_t id)
{
    struct job_row *gone = NULL;
    pthread_mutex_lock(&q->lock);
    struct job_row **at = find(q, id), *r = *at;
    bool any = r && (is_open(r) || r->view.state == JOB_LEFT);
    if (any && r->view.state == JOB_RUNNING) {
        r->wants_stop = true;
    } else if (any && r->view.state == JOB_LEFT) {
        tell(q, r, true);
        *at = r->next;
        gone = r;
    } else if (any) {
        gone = end_row(q, r, JOB_CANCELLED);
        tell(q, r, false);
    }
    pthread_mutex_unlock(&q->lock);
    if (gone)
        row_free(gone);
    return any;
}

bool jobs_move(struct jobs *q, uint64_t id, int step)
{
    bool any = false;
    pthread_mutex_lock(&q->lock);
    struct job_row **at = find(q, id), **from = &q->first;
    struct job_row *r = *at;
    if (r && r->view.state == JOB_WAITING) {
        if (step < 0) {
            while (*from != r && (*from)->next != r)
                from = &(*from)->next;
            at = from; /* the row before it */
        }
        struct job_row *a = *at, *b = a ? a->next : NULL;
        any = b && a->view.state == JOB_WAITING && b->view.state == JOB_WAITING &&
              (step > 0 || b == r);
        if (any) {
            a->next = b->next;
            b->next = a;
            *at = b;
        }
    }
    pthread_mutex_unlock(&q->lock);
    return any;
}

bool jobs_forget(struct jobs *q, uint64_t id)
{
    pthread_mutex_lock(&q->lock);
    struct job_row **at = find(q, id), *r = *at && !is_open(*at) ? *at : NULL;
    if (r)
        *at = r->next;
    if (r && (r->view.state == JOB_DONE || r->view.state >= JOB_LEFT))
        tell(q, r, true);
    pthread_mutex_unlock(&q->lock);
    if (r)
        row_free(r);
    return r;
}

struct held_report *jobs_report(struct jobs *q, uint64_t id)
{
    pthread_mutex_lock(&q->lock);
    struct job_row *r = *find(q, id);
    struct held_report *h = r ? held_report_share(r->report) : NULL;
    pthread_mutex_unlock(&q->lock);
    return h;
}

char *jobs_line(struct jobs *q, uint64_t id)
{
    pthread_mutex_lock(&q->lock);
    struct job_row *r = *find(q, id);
    char *line = r ? strdup(r->line) : NULL;
    pthread_mutex_unlock(&q->lock);
    return line;
}

char *jobs_text(struct jobs *q, uint64_t id)
{
    pthread_mutex_lock(&q->lock);
    struct job_row *r = *find(q, id);
    char *text = r && r->text ? strdup(r->text) : NULL;
    pthread_mutex_unlock(&q->lock);
    return text;
}

/* --- The computing thread's side --------------------------------------------------------------- */

bool jobs_take(struct jobs *q, struct job_view *out, char **line)
{
    pthread_mutex_lock(&q->lock);
    struct job_row *r = q->first;
    while (r && r->view.state != JOB_WAITING)
        r = r->next;
    *line = r ? strdup(r->line) : NULL;
    if (*line) {
        r->view.state = JOB_RUNNING;
        r->view.began = machine_seconds();
        *out = r->view;
    }
    pthread_mutex_unlock(&q->lock);
    return *line;
}

bool jobs_step(struct jobs *q, uint64_t id, const char *stage, double done, double total)
{
    pthread_mutex_lock(&q->lock);
    struct job_row *r = *find(q, id);
    if (r) {
        snprintf(r->view.stage, sizeof r->view.stage, "%s", stage);
        r->view.done = done;
        r->view.total = total;
    }
    bool stop = !r || r->wants_stop;
    pthread_mutex_unlock(&q->lock);
    return stop;
}

void jobs_cost(struct jobs *q, uint64_t id, const struct job_cost *cost)
{
    pthread_mutex_lock(&q->lock);
    struct job_row *r = *find(q, id);
    if (r)
        r->view.cost = *cost;
    pthread_mutex_unlock(&q->lock);
}

bool jobs_unknown(struct jobs *q, uint64_t *id, char **line)
{
    pthread_mutex_lock(&q->lock);
    struct job_row *r = q->first;
    while (r && (r->view.state != JOB_WAITING || r->is_asked))
        r = r->next;
    *line = r ? strdup(r->line) : NULL;
    if (r) {
        r->is_asked = true;
        *id = r->view.id;
    }
    pthread_mutex_unlock(&q->lock);
    return *line;
}

void jobs_hold(struct jobs *q, uint64_t id, struct held_report *h)
{
    pthread_mutex_lock(&q->lock);
    struct job_row *r = *find(q, id);
    struct held_report *old = NULL;
    if (r) {
        old = r->report;
        r->report = held_report_share(h);
        r->view.has_report = true;
    }
    pthread_mutex_unlock(&q->lock);
    held_report_release(&old);
}

void jobs_end(
    struct jobs *q, uint64_t id, enum job_state state, const char *message, const char *text)
{
    struct job_row *gone = NULL;
    pthread_mutex_lock(&q->lock);
    struct job_row *r = *find(q, id);
    if (r) {
        snprintf(r->view.message, sizeof r->view.message, "%s", message ? message : "");
        r->text = text && *text ? strdup(text) : NULL;
        r->view.has_text = r->text;
        gone = end_row(q, r, state);
        /* One that ends because the person leaves has been asked for still. */
        if (state == JOB_FAILED || (state == JOB_CANCELLED && r->wants_stop))
            tell(q, r, false);
    }
    pthread_mutex_unlock(&q->lock);
    if (gone)
        row_free(gone);
}
