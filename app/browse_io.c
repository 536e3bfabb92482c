#include "app/browse_io.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "analysis/report/values.h"
#include "app/browse_inside.h"
#include "model/core/machine.h"
#include "model/core/parallel.h"

#define SIDE 64                   /* of a square tile */
#define LONG 4096                 /* of a row or a column of one cell's width */
#define RECORDS 64                /* of a table */
#define DEAR ((double)(32 << 20)) /* bytes behind a square tile from which it is read row by row */
#define WALK 32                   /* nodes before others have their turn */
#define MOST ((int64_t)1 << 21)   /* values of a window; views that want more are told */

/* --- Waking the main loop ---------------------------------------------------------------------- */

/* At most every 25 ms: a drawing takes longer than a tile. The lock is held. */
static void tell(struct io *io, bool at_once)
{
    double now = machine_seconds();
    uint64_t one = 1;
    if (!at_once && now - io->told < 0.025) {
        io->owes = true;
        return;
    }
    io->told = now;
    io->owes = false;
    if (io->wake_fd >= 0)
        (void)!write(io->wake_fd, &one, sizeof one);
}

/* --- The thread: documents --------------------------------------------------------------------- */

struct tree *io_tree(struct io *io, int doc)
{
    return doc >= 0 && doc < io->n_docs ? io->docs[doc].tree : NULL;
}

static void publish(struct doc *d)
{
    int n = d->tree ? tree_count(d->tree) : 0;
    if (n > d->cap_nodes) {
        int cap = n + n / 2 + 64;
        const struct node **more = realloc(d->nodes, (size_t)cap * sizeof *more);
        if (!more)
            return;
        d->nodes = more;
        d->cap_nodes = cap;
    }
    for (; d->n_nodes < n; d->n_nodes++)
        d->nodes[d->n_nodes] = tree_at(d->tree, d->n_nodes);
}

static void open_doc(struct io *io, struct doc *d)
{
    struct err e = {0};
    struct tree *t = NULL;
    bool walks = false;
    char path[sizeof d->path];
    memcpy(path, d->path, sizeof path);
    struct held_report *held = d->held;
    struct tree *a = io_tree(io, d->minus_a), *b = io_tree(io, d->minus_b);
    int na = d->minus_na, nb = d->minus_nb;
    bool is_minus = d->is_minus;
    pthread_mutex_unlock(&io->lock);
    int rc = is_minus ? a && b ? tree_minus(&t, a, na, b, nb, &e)
                               : err_set(&e, ERR_USAGE, "one of the two documents is closed")
             : held ? tree_of_report(&t, held, &e)
                      : tree_open(&t, path, &e);
    if (!rc)
        walks = tree_more(t, WALK);
    held_report_release(&held);
    pthread_mutex_lock(&io->lock);
    d->held = NULL;
    d->tree = t;
    d->kind = t ? tree_kind(t) : "";
    d->e = e;
    d->e.code = rc;
    if (!rc)
        snprintf(d->e.msg, sizeof d->e.msg, "%s", tree_note(t));
    d->is_opening = false;
    d->is_walking = walks;
    d->seconds = machine_seconds() - d->asked;
    publish(d);
    tell(io, true);
}

static void walk_doc(struct io *io, struct doc *d)
{
    struct tree *t = d->tree;
    int had = d->n_nodes;
    bool was = d->is_walking;
    d->wants_more = false;
    d->is_walking = true; /* or who asks meanwhile would take what is known for all there is */
    pthread_mutex_unlock(&io->lock);
    bool more = tree_more(t, WALK);
    pthread_mutex_lock(&io->lock);
    d->is_walking = more;
    publish(d);
    if (d->n_nodes > had || was != more)
        tell(io, !more);
}

static void close_doc(struct io *io, struct doc *d)
{
    struct tree *t = d->tree;
    d->tree = NULL;
    d->is_used = d->is_closing = false;
    d->n_nodes = 0;
    held_report_release(&d->held);
    pthread_mutex_unlock(&io->lock);
    tree_release(&t);
    pthread_mutex_lock(&io->lock);
    free(d->nodes);
    d->nodes = NULL;
    d->cap_nodes = 0;
}

/* Something to do with a document; false: nothing. */
static bool serve_docs(struct io *io, bool walks)
{
    for (int i = io->n_docs - 1; i >= 0; i--) {
        struct doc *d = &io->docs[i];
        if (!d->is_used)
            continue;
        if (d->is_closing)
            return close_doc(io, d), true;
        if (!walks && d->is_opening)
            return open_doc(io, d), true;
        if (walks && d->tree && (d->is_walking || d->wants_more))
            return walk_doc(io, d), true;
    }
    return false;
}

/* --- The thread: tiles ------------------------------------------------------------------------- */

static bool is_stale(void *arg)
{
    struct io *io = arg;
    bool stale;
    pthread_mutex_lock(&io->lock);
    stale = io->is_ending || atomic_load(&io->now_frame) + 1 < io->frame;
    pthread_mutex_unlock(&io->lock);
    return stale;
}

static void shape_of(int64_t *h, int64_t *w, char shape)
{
    *h = shape == 's' ? SIDE : shape == 't' ? LONG : 1;
    *w = shape == 's' || shape == 'r' ? SIDE : shape == 'w' ? LONG : 1;
}

static int64_t steps(int64_t n, int64_t step)
{
    return n <= 0 ? 0 : (n - 1) / step + 1;
}

static int read_values(struct tile *t, const struct want *want, struct io *io, struct tree *tree)
{
    const struct spec *s = want->spec;
    const struct tile_key *k = &want->key;
    int64_t h, w;
    shape_of(&h, &w, k->shape);
    struct io_window win = {.r0 = k->r0 + k->row * h * k->rs,
        .c0 = k->c0 + k->col * w * k->cs,
        .rs = k->rs,
        .cs = k->cs,
        .how = k->how};
    int64_t left_r = steps(spec_rows(s) - win.r0, k->rs),
            left_c = steps(spec_cols(s) - win.c0, k->cs);
    win.nr = left_r < h ? left_r : h;
    win.nc = left_c < w ? left_c : w;
    t->v = malloc((size_t)(h * w) * sizeof *t->v);
    bool is_long = (s->n->dtype == DT_I64 || s->n->dtype == DT_U64) && k->rs == 1 && k->cs == 1;
    t->raw = is_long ? malloc((size_t)(h * w) * sizeof *t->raw) : NULL;
    if (!t->v || (is_long && !t->raw))
        return err_set(&t->e, ERR_LIMIT, "out of memory (a tile)");
    t->bytes += (size_t)(h * w) * (is_long ? 16 : 8);
    int rc =
        win.nr > 0 && win.nc > 0 ? spec_read(t->v, t->raw, s, tree, &win, is_stale, io, &t->e) : 0;
    /* Rows of the tile's own width, so that places do not depend on the plane's edge. */
    for (int64_t i = win.nr - 1; !rc && i >= 0 && win.nc < w; i--) {
        memmove(t->v + i * w, t->v + i * win.nc, (size_t)win.nc * sizeof *t->v);
        if (t->raw)
            memmove(t->raw + i * w, t->raw + i * win.nc, (size_t)win.nc * sizeof *t->raw);
    }
    return rc;
}

static int read_records(struct tile *t, const struct want *want, struct tree *tree)
{
    const struct spec *s = want->spec;
    int columns = s->n->n_columns;
    int64_t first = want->key.row * RECORDS, n = spec_rows(s) - first;
    n = n < RECORDS ? n : RECORDS;
    t->cells = calloc((size_t)(RECORDS * columns), sizeof *t->cells);
    if (!t->cells)
        return err_set(&t->e, ERR_LIMIT, "out of memory (records)");
    t->bytes += (size_t)(RECORDS * columns) * sizeof *t->cells;
    bool is_plain = !s->row_order && s->cut[s->row].step == 1;
    int rc = 0;
    if (is_plain && n > 0)
        rc = tree_cells(t->cells, tree, s->node, spec_index(s, true, first), n, &t->arena, &t->e);
    for (int64_t i = 0; !is_plain && i < n && !rc; i++)
        rc = tree_cells(t->cells + i * columns, tree, s->node, spec_index(s, true, first + i), 1,
            &t->arena, &t->e);
    for (int64_t i = 0; i < n * columns && !rc; i++)
        t->bytes += t->cells[i].text ? strlen(t->cells[i].text) + 16 : 0;
    return rc;
}

static bool serve_tiles(struct io *io)
{
    if (!io->n_wants)
        return false;
    io->now = io->wants[0];
    memmove(io->wants, io->wants + 1, (size_t)--io->n_wants * sizeof *io->wants);
    io->has_now = true;
    atomic_store(&io->now_frame, io->now.frame);
    struct want *want = &io->now;
    struct tree *tree = io_tree(io, want->spec->doc);
    struct tile *t = calloc(1, sizeof *t);
    pthread_mutex_unlock(&io->lock);
    int rc = !t ? ERR_LIMIT : 0;
    if (t) {
        t->key = want->key;
        t->bytes = sizeof *t;
        rc = !tree                    ? err_set(&t->e, ERR_USAGE, "the document is closed")
             : want->key.shape == 'c' ? read_records(t, want, tree)
             : want->key.shape == 'l' ? labels_read(t, want, tree)
                                      : read_values(t, want, io, tree);
    }
    pthread_mutex_lock(&io->lock);
    io->has_now = false;
    if (t) {
        t->e.code = rc;
        if (rc == ERR_CANCEL) {
            tile_release(t);
        } else {
            store_put(&io->store, t);
            io->generation++;
        }
    }
    spec_release(&io->now.spec);
    pthread_cond_broadcast(&io->done);
    tell(io, !io->n_wants);
    return true;
}

/* --- The thread: the exact cell and attributes --------------------------------------------------- */

static void exact_cell(
    struct io_cell *out, const struct spec *s, struct tree *t, int64_t row, int64_t col)
{
    struct err e;
    double v = NAN;
    int64_t raw = 0;
    size_t at = 0;
    *out = (struct io_cell){.number = NAN};
    for (int side = 0; side < 2; side++) {
        int axis = side ? s->col : s->row;
        char one[sizeof out->place];
        int64_t *text = out->text[side], index = spec_index(s, !side, side ? col : row);
        if (axis >= 0 && tree_text(&text[0], &text[1], t, s->node, axis, index, &e))
            text[0] = text[1] = 0;
        if (axis < 0 || tree_place(one, sizeof one, t, s->node, axis, index, &e) || !*one)
            continue;
        at +=
            (size_t)snprintf(out->place + at, sizeof out->place - at, "%s%s", at ? ", " : "", one);
    }
    if (spec_is_table(s) || s->sheet)
        return;
    struct io_window w = {.r0 = row, .nr = 1, .rs = 1, .c0 = col, .nc = 1, .cs = 1};
    if (spec_read(&v, &raw, s, t, &w, NULL, NULL, &e)) {
        snprintf(out->value, sizeof out->value, "cannot be read");
        return;
    }
    out->number = v;
    if (s->n->dtype == DT_I64 || s->n->dtype == DT_U64)
        exact_value(out->value, sizeof out->value, &raw, s->n->dtype);
    else
        exact_number(out->value, sizeof out->value, v, s->n->dtype);
}

static bool serve_cell(struct io *io)
{
    if (!io->wants_cell)
        return false;
    struct spec *s = spec_share(io->cell_spec);
    struct tree *t = io_tree(io, s->doc);
    int64_t row = io->cell_row, col = io->cell_col;
    struct io_cell cell = {.number = NAN};
    io->wants_cell = false;
    pthread_mutex_unlock(&io->lock);
    if (t)
        exact_cell(&cell, s, t, row, col);
    pthread_mutex_lock(&io->lock);
    io->cell = cell;
    io->cell_id = s->id;
    io->known_row = row;
    io->known_col = col;
    io->has_cell = true;
    spec_release(&s);
    pthread_cond_broadcast(&io->done);
    tell(io, !io->n_wants);
    return true;
}

static bool serve_about(struct io *io)
{
    if (!io->wants_about)
        return false;
    struct tree *t = io_tree(io, io->about_doc);
    int node = io->about_node;
    struct arena a = {0};
    struct tree_attr *attrs = NULL;
    struct err e = {0};
    int n = 0;
    struct buf text = {0};
    io->wants_about = false;
    pthread_mutex_unlock(&io->lock);
    if (t && tree_attrs(&attrs, &n, t, node, &a, &e))
        buf_puts(&text, e.msg);
    for (int i = 0; i < n && attrs && !e.code; i++)
        buf_printf(&text, "%s\t%.400s\n", attrs[i].name, attrs[i].value ? attrs[i].value : "");
    arena_release(&a);
    pthread_mutex_lock(&io->lock);
    buf_release(&io->about);
    io->about = text;
    io->has_about = true;
    pthread_cond_broadcast(&io->done);
    tell(io, true);
    return true;
}

/* --- The thread: jobs -------------------------------------------------------------------------- */

static bool serve_job(struct io *io)
{
    struct io_task *j = &io->job;
    if (!j->now.is_running)
        return false;
    struct tree *t = io_tree(io, j->spec->doc);
    bool over = j->wants_end || !t;
    if (!over) {
        pthread_mutex_unlock(&io->lock);
        over = job_step(j, t);
        pthread_mutex_lock(&io->lock);
    } else {
        j->now.is_cancelled = true;
    }
    j->now.seconds = machine_seconds() - j->began;
    j->now.seen = j->done;
    if (j->total > 0)
        j->now.share = (double)j->done / (double)j->total;
    j->now.stats = j->stats;
    j->now.e = j->e;
    if (over && !j->now.is_cancelled) {
        j->now.order = j->order;
        j->order = NULL;
        j->now.found = j->found;
        j->now.row = j->row;
        j->now.col = j->col;
    }
    if (over || j->wants_end) {
        j->now.is_running = false;
        j->now.is_cancelled = j->now.is_cancelled || j->wants_end;
        j->now.is_done = !j->now.is_cancelled;
        job_clear(j);
    }
    io->generation++;
    bool is_time = machine_seconds() - j->shown > 0.1;
    if (!j->now.is_running || is_time) {
        j->shown = machine_seconds();
        tell(io, true);
    }
    return true;
}

static void *loop(void *arg)
{
    struct io *io = arg;
    pthread_mutex_lock(&io->lock);
    while (!io->is_ending) {
        if (serve_docs(io, false) || serve_tiles(io) || serve_cell(io) || serve_about(io) ||
            serve_docs(io, true) || serve_job(io))
            continue;
        if (io->owes)
            tell(io, true);
        pthread_cond_broadcast(&io->done);
        pthread_cond_wait(&io->wake, &io->lock);
    }
    for (int i = io->n_docs - 1; i >= 0; i--)
        if (io->docs[i].is_used)
            close_doc(io, &io->docs[i]);
    pthread_mutex_unlock(&io->lock);
    return NULL;
}

/* --- The screen's side -------------------------------------------------------------------------- */

int io_create(struct io **out, int wake_fd, struct err *e)
{
    struct io *io = calloc(1, sizeof *io);
    pthread_condattr_t attr;
    *out = NULL;
    if (!io)
        return err_set(e, ERR_LIMIT, "no memory for the reading thread");
    /* The other end may be closed before this one is. */
    io->wake_fd = wake_fd >= 0 ? dup(wake_fd) : -1;
    pthread_mutex_init(&io->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&io->wake, &attr);
    pthread_cond_init(&io->done, &attr);
    pthread_condattr_destroy(&attr);
    io->has_thread = !thread_start(&io->thread, NULL, loop, io);
    *out = io;
    if (io->has_thread)
        return 0;
    io_release(out);
    return err_set(e, ERR_LIMIT, "no thread for reading");
}

static void drop_wants(struct io *io)
{
    for (int i = 0; i < io->n_wants; i++)
        spec_release(&io->wants[i].spec);
    io->n_wants = 0;
}

void io_release(struct io **ptr)
{
    struct io *io = *ptr;
    if (!io)
        return;
    *ptr = NULL;
    pthread_mutex_lock(&io->lock);
    io->is_ending = true;
    pthread_cond_signal(&io->wake);
    pthread_mutex_unlock(&io->lock);
    if (io->has_thread)
        pthread_join(io->thread, NULL);
    drop_wants(io);
    job_clear(&io->job);
    kept_release(&io->job.kept);
    spec_release(&io->job.spec);
    order_release(&io->job.now.order);
    spec_release(&io->cell_spec);
    store_release(&io->store);
    buf_release(&io->about);
    buf_release(&io->about_shown);
    if (io->wake_fd >= 0)
        close(io->wake_fd);
    pthread_cond_destroy(&io->wake);
    pthread_cond_destroy(&io->done);
    pthread_mutex_destroy(&io->lock);
    free(io);
}

void io_frame(struct io *io, double wait)
{
    pthread_mutex_lock(&io->lock);
    io->frame++;
    io->until = machine_seconds() + wait;
    drop_wants(io);
    pthread_mutex_unlock(&io->lock);
}

static bool is_busy(struct io *io)
{
    bool busy = io->n_wants || io->has_now || io->wants_cell || io->wants_about;
    for (int i = 0; i < io->n_docs && !busy; i++)
        busy = io->docs[i].is_used && (io->docs[i].is_opening || io->docs[i].is_walking ||
                                          io->docs[i].is_closing || io->docs[i].wants_more);
    return busy;
}

bool io_is_busy(struct io *io)
{
    pthread_mutex_lock(&io->lock);
    bool busy = is_busy(io);
    pthread_mutex_unlock(&io->lock);
    return busy;
}

size_t io_bytes(struct io *io)
{
    pthread_mutex_lock(&io->lock);
    size_t bytes = io->store.bytes;
    pthread_mutex_unlock(&io->lock);
    return bytes;
}

/* Until the thread says something is done, or the time; false: the time. */
bool io_wait(struct io *io, double until)
{
    double left = until - machine_seconds();
    struct timespec at;
    if (left <= 0)
        return false;
    clock_gettime(CLOCK_MONOTONIC, &at);
    double whole = floor(left);
    at.tv_sec += (time_t)whole;
    at.tv_nsec += (long)((left - whole) * 1e9);
    if (at.tv_nsec >= 1000000000) {
        at.tv_nsec -= 1000000000;
        at.tv_sec++;
    }
    pthread_cond_signal(&io->wake);
    return pthread_cond_timedwait(&io->done, &io->lock, &at) != ETIMEDOUT;
}

bool io_settle(struct io *io, double seconds)
{
    double until = machine_seconds() + seconds;
    pthread_mutex_lock(&io->lock);
    while ((is_busy(io) || io->job.now.is_running) && machine_seconds() < until)
        io_wait(io, machine_seconds() + 0.01);
    bool settled = !is_busy(io) && !io->job.now.is_running;
    pthread_mutex_unlock(&io->lock);
    return settled;
}

/* --- Documents ---------------------------------------------------------------------------------- */

/* A free number, its document set up; -1: too many. The lock is held. */
static int new_doc(struct io *io, const char *title)
{
    if (io->n_docs == IO_DOCS)
        return -1;
    struct doc *d = &io->docs[io->n_docs];
    *d =
        (struct doc){.is_used = true, .is_opening = true, .minus_a = -1, .minus_b = -1, .kind = ""};
    d->asked = machine_seconds();
    snprintf(d->title, sizeof d->title, "%s", title);
    pthread_cond_signal(&io->wake);
    return io->n_docs++;
}

int io_open(struct io *io, const char *path)
{
    const char *base = strrchr(path, '/');
    pthread_mutex_lock(&io->lock);
    int id = strlen(path) < sizeof io->docs[0].path ? new_doc(io, base ? base + 1 : path) : -1;
    if (id >= 0)
        snprintf(io->docs[id].path, sizeof io->docs[id].path, "%s", path);
    pthread_mutex_unlock(&io->lock);
    return id;
}

int io_open_report(struct io *io, struct held_report *h, const char *title)
{
    pthread_mutex_lock(&io->lock);
    int id = new_doc(io, title);
    if (id >= 0)
        io->docs[id].held = held_report_share(h);
    pthread_mutex_unlock(&io->lock);
    return id;
}

int io_open_minus(struct io *io, int a, int node_a, int b, int node_b, const char *title)
{
    pthread_mutex_lock(&io->lock);
    int id = new_doc(io, title);
    if (id >= 0) {
        struct doc *d = &io->docs[id];
        d->is_minus = true;
        d->minus_a = a;
        d->minus_b = b;
        d->minus_na = node_a;
        d->minus_nb = node_b;
    }
    pthread_mutex_unlock(&io->lock);
    return id;
}

void io_refresh(struct io *io, int id)
{
    pthread_mutex_lock(&io->lock);
    if (id >= 0 && id < io->n_docs && io->docs[id].is_used) {
        io->docs[id].wants_more = true;
        pthread_cond_signal(&io->wake);
    }
    pthread_mutex_unlock(&io->lock);
}

static void mark_closing(struct io *io, int id)
{
    struct doc *d = &io->docs[id];
    if (!d->is_used || d->is_closing)
        return;
    d->is_closing = true;
    if (io->job.now.is_running && io->job.spec->doc == id)
        io->job.wants_end = true;
    for (int i = 0; i < io->n_docs; i++)
        if (io->docs[i].is_used && (io->docs[i].minus_a == id || io->docs[i].minus_b == id))
            mark_closing(io, i);
}

void io_close(struct io *io, int id)
{
    pthread_mutex_lock(&io->lock);
    if (id >= 0 && id < io->n_docs)
        mark_closing(io, id);
    pthread_cond_signal(&io->wake);
    pthread_mutex_unlock(&io->lock);
}

bool io_doc(struct doc_view *out, struct io *io, int id)
{
    pthread_mutex_lock(&io->lock);
    bool ok = id >= 0 && id < io->n_docs && io->docs[id].is_used && !io->docs[id].is_closing;
    if (ok) {
        const struct doc *d = &io->docs[id];
        *out = (struct doc_view){.is_opening = d->is_opening,
            .is_walking = d->is_walking || d->wants_more,
            .e = d->e,
            .n_nodes = d->n_nodes,
            .seconds = d->seconds};
        memcpy(out->title, d->title, sizeof out->title);
        memcpy(out->path, d->path, sizeof out->path);
        snprintf(out->kind, sizeof out->kind, "%s", d->kind);
    }
    pthread_mutex_unlock(&io->lock);
    return ok;
}

int io_nodes(const struct node **out, struct io *io, int id, int from, int n)
{
    int got = 0;
    pthread_mutex_lock(&io->lock);
    if (id >= 0 && id < io->n_docs && io->docs[id].is_used)
        for (; got < n && from + got < io->docs[id].n_nodes; got++)
            out[got] = io->docs[id].nodes[from + got];
    pthread_mutex_unlock(&io->lock);
    return got;
}

/* --- Values ------------------------------------------------------------------------------------- */

/* Asks for a tile unless it is asked for already. The lock is held. */
void io_want(struct io *io, const struct tile_key *k, struct spec *s, int axis)
{
    if (io->has_now && !memcmp(&io->now.key, k, sizeof *k)) {
        atomic_store(&io->now_frame, io->frame);
        return;
    }
    for (int i = 0; i < io->n_wants; i++)
        if (!memcmp(&io->wants[i].key, k, sizeof *k))
            return;
    if (io->n_wants == (int)(sizeof io->wants / sizeof *io->wants))
        return;
    io->wants[io->n_wants++] =
        (struct want){.key = *k, .spec = spec_share(s), .axis = axis, .frame = io->frame};
    pthread_cond_signal(&io->wake);
}

struct grid {
    struct tile_key key;
    int64_t h, w, tr0, tr1, tc0, tc1; /* tiles [tr0, tr1] x [tc0, tc1] */
    int64_t first_r, first_c;         /* cells of the grid where the window begins */
};

static struct grid grid_of(const struct spec *s, const struct io_window *w)
{
    struct grid g;
    memset(&g, 0, sizeof g); /* keys are compared byte by byte */
    g.key.spec = s->id;
    g.key.rs = w->rs;
    g.key.cs = w->cs;
    g.key.r0 = w->r0 % w->rs;
    g.key.c0 = w->c0 % w->cs;
    g.key.how = w->rs > 1 || w->cs > 1 ? w->how : AGG_POINT;
    g.key.shape = w->nc == 1 && w->nr > 256 ? 't' : w->nr == 1 && w->nc > 256 ? 'w' : 's';
    double behind = (double)w->rs * (double)w->cs * SIDE * SIDE * (double)dtype_bytes(s->n->dtype);
    if (g.key.shape == 's' && g.key.how != AGG_POINT && behind > DEAR)
        g.key.shape = 'r';
    shape_of(&g.h, &g.w, g.key.shape);
    g.first_r = w->r0 / w->rs;
    g.first_c = w->c0 / w->cs;
    g.tr0 = g.first_r / g.h;
    g.tr1 = (g.first_r + w->nr - 1) / g.h;
    g.tc0 = g.first_c / g.w;
    g.tc1 = (g.first_c + w->nc - 1) / g.w;
    return g;
}

/* Copies what the tile has of the window. */
static void copy_tile(double *out, const struct io_window *w, const struct grid *g,
    const struct tile *t, int64_t tr, int64_t tc)
{
    int64_t r_from = tr * g->h, c_from = tc * g->w;
    int64_t r0 = r_from > g->first_r ? r_from : g->first_r;
    int64_t c0 = c_from > g->first_c ? c_from : g->first_c;
    int64_t r1 = r_from + g->h < g->first_r + w->nr ? r_from + g->h : g->first_r + w->nr;
    int64_t c1 = c_from + g->w < g->first_c + w->nc ? c_from + g->w : g->first_c + w->nc;
    for (int64_t r = r0; r < r1 && c1 > c0; r++)
        memcpy(out + (r - g->first_r) * w->nc + c0 - g->first_c,
            t->v + (r - r_from) * g->w + c0 - c_from, (size_t)(c1 - c0) * sizeof *out);
}

/* One pass over the tiles of a window; how many are missing. */
static int64_t gather(double *out, struct io *io, struct spec *s, const struct io_window *w,
    const struct grid *g, struct err *e)
{
    int64_t missing = 0;
    for (int64_t tr = g->tr0; tr <= g->tr1; tr++)
        for (int64_t tc = g->tc0; tc <= g->tc1; tc++) {
            struct tile_key k = g->key;
            k.row = tr;
            k.col = tc;
            const struct tile *t = store_find(&io->store, &k);
            if (!t) {
                missing++;
                io_want(io, &k, s, -1);
            } else if (t->e.code) {
                *e = t->e;
            } else {
                copy_tile(out, w, g, t, tr, tc);
            }
        }
    return missing;
}

static int fetch_sheet(double *out, const struct spec *s, const struct io_window *w)
{
    struct sheet *sheet = s->sheet;
    pthread_mutex_lock(&sheet->lock);
    bool whole = sheet->is_whole;
    for (int64_t i = 0; i < w->nr; i++)
        for (int64_t j = 0; j < w->nc; j++) {
            struct acc acc = {0};
            int64_t r = w->r0 + i * w->rs, c = w->c0 + j * w->cs;
            int64_t h = w->how == AGG_POINT ? 1 : w->rs, n = w->how == AGG_POINT ? 1 : w->cs;
            if (c + n > sheet->cols)
                n = sheet->cols - c;
            for (int64_t y = r; y < r + h && y < sheet->rows; y++) {
                int64_t at = s->row_order && y < s->row_order->n ? s->row_order->index[y] : y;
                for (int64_t x = c; x < c + n; x++) {
                    int64_t to = s->col_order && x < s->col_order->n ? s->col_order->index[x] : x;
                    acc_add(&acc, w->how, &sheet->values[at * sheet->cols + to], 1, 1);
                }
            }
            out[i * w->nc + j] = acc_value(&acc, w->how);
        }
    pthread_mutex_unlock(&sheet->lock);
    return whole ? 0 : 1;
}

static int fetch_records(
    double *out, struct io *io, struct spec *s, const struct io_window *w, struct err *e)
{
    struct tile_key k;
    int64_t missing = 0, columns = s->n->n_columns;
    memset(&k, 0, sizeof k);
    k.spec = s->id;
    k.shape = 'c';
    pthread_mutex_lock(&io->lock);
    do {
        missing = 0;
        for (int64_t i = 0; i < w->nr; i++) {
            int64_t row = w->r0 + i * w->rs;
            k.row = row / RECORDS;
            const struct tile *t = store_find(&io->store, &k);
            if (!t) {
                missing++;
                io_want(io, &k, s, -1);
                i += (k.row + 1) * RECORDS > row ? ((k.row + 1) * RECORDS - row - 1) / w->rs : 0;
                continue;
            }
            if (t->e.code)
                *e = t->e;
            for (int64_t j = 0; j < w->nc && !t->e.code; j++) {
                int64_t c = w->c0 + j * w->cs;
                bool is_text = c >= columns || s->n->columns[c].is_text;
                out[i * w->nc + j] = is_text ? NAN : t->cells[row % RECORDS * columns + c].number;
            }
        }
    } while (missing && io_wait(io, io->until));
    pthread_mutex_unlock(&io->lock);
    return e->code ? e->code : missing > 0;
}

int io_fetch(double *out, struct io *io, struct spec *s, const struct io_window *w, struct err *e)
{
    int64_t n = w->nr * w->nc, missing;
    *e = (struct err){0};
    if (n < 1)
        return 0;
    if (w->nr > MOST || w->nc > MOST || n > MOST)
        return err_set(e, ERR_LIMIT,
            "this view wants %" PRId64 " values at once: cut a slice with =, or zoom out with <",
            n);
    for (int64_t i = 0; i < n; i++)
        out[i] = NAN;
    if (s->sheet)
        return fetch_sheet(out, s, w);
    if (spec_is_table(s))
        return fetch_records(out, io, s, w, e);
    struct grid g = grid_of(s, w);
    pthread_mutex_lock(&io->lock);
    do
        missing = gather(out, io, s, w, &g, e);
    while (missing && !e->code && io_wait(io, io->until));
    pthread_mutex_unlock(&io->lock);
    return e->code ? e->code : missing > 0;
}

bool io_text(char *buf, size_t n, struct io *io, struct spec *s, int64_t row, int column)
{
    struct tile_key k;
    bool found = false;
    memset(&k, 0, sizeof k);
    k.spec = s->id;
    k.shape = 'c';
    k.row = row / RECORDS;
    *buf = '\0';
    pthread_mutex_lock(&io->lock);
    do {
        const struct tile *t = store_find(&io->store, &k);
        if (!t) {
            io_want(io, &k, s, -1);
            continue;
        }
        if (t->cells && !t->e.code) {
            const char *text = t->cells[row % RECORDS * s->n->n_columns + column].text;
            if (text)
                snprintf(buf, n, "%s", text);
            found = text != NULL;
        }
        break;
    } while (io_wait(io, io->until));
    pthread_mutex_unlock(&io->lock);
    return found;
}

bool io_cell(struct io_cell *out, struct io *io, struct spec *s, int64_t row, int64_t col)
{
    bool known = false;
    pthread_mutex_lock(&io->lock);
    do {
        known =
            io->has_cell && io->cell_id == s->id && io->known_row == row && io->known_col == col;
        if (known)
            break;
        if (!io->cell_spec || io->cell_spec->id != s->id || io->cell_row != row ||
            io->cell_col != col || !io->wants_cell) {
            spec_release(&io->cell_spec);
            io->cell_spec = spec_share(s);
            io->cell_row = row;
            io->cell_col = col;
            io->wants_cell = true;
            pthread_cond_signal(&io->wake);
        }
    } while (io_wait(io, io->until));
    if (known)
        *out = io->cell;
    pthread_mutex_unlock(&io->lock);
    return known;
}

const char *io_about(struct io *io, int id, int node)
{
    const char *text = NULL;
    pthread_mutex_lock(&io->lock);
    if (io->about_doc != id || io->about_node != node || (!io->has_about && !io->wants_about)) {
        io->about_doc = id;
        io->about_node = node;
        io->has_about = false;
        io->wants_about = true;
        pthread_cond_signal(&io->wake);
    }
    while (!io->has_about && io_wait(io, io->until))
        ;
    if (io->has_about) {
        buf_release(&io->about_shown);
        buf_puts(&io->about_shown, io->about.data ? io->about.data : "");
        text = io->about_shown.data ? io->about_shown.data : "";
    }
    pthread_mutex_unlock(&io->lock);
    return text;
}

uint64_t io_generation(struct io *io, const struct spec *s)
{
    pthread_mutex_lock(&io->lock);
    uint64_t g = io->generation + s->id;
    pthread_mutex_unlock(&io->lock);
    return g;
}

/* --- Jobs --------------------------------------------------------------------------------------- */

uint64_t io_begin(struct io *io, enum io_job what, struct spec *s, int64_t line, bool descending,
    const struct io_search *search)
{
    pthread_mutex_lock(&io->lock);
    struct io_task *j = &io->job;
    /* The one under way is the thread's until it sees the wish. */
    while (j->now.is_running) {
        j->wants_end = true;
        io_wait(io, machine_seconds() + 0.01);
    }
    uint64_t id = ++j->ids;
    spec_release(&j->spec);
    order_release(&j->now.order);
    *j = (struct io_task){
        .ids = id, .spec = spec_share(s), .line = line, .descending = descending, .kept = j->kept};
    j->now = (struct io_progress){.id = id, .what = what, .is_running = true};
    j->began = j->shown = machine_seconds();
    if (search)
        j->search = *search;
    pthread_cond_signal(&io->wake);
    pthread_mutex_unlock(&io->lock);
    return id;
}

void io_cancel(struct io *io)
{
    pthread_mutex_lock(&io->lock);
    io->job.wants_end = io->job.now.is_running;
    pthread_mutex_unlock(&io->lock);
}

void io_progress(struct io_progress *out, struct io *io)
{
    pthread_mutex_lock(&io->lock);
    *out = io->job.now;
    pthread_mutex_unlock(&io->lock);
}
