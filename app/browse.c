#include "app/browse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/layout.h"

/* The documents that are open, and the list of what is in them. */

#define MANY 400 /* nodes of a document whose groups stand open at first */

struct browse *browse_of(struct workbench *wb)
{
    struct err e = {0};
    if (wb->browse)
        return wb->browse;
    struct browse *b = calloc(1, sizeof *b);
    if (!b || io_create(&b->io, wb->engine->wake_fd, &e)) {
        free(b);
        workbench_say(wb, true, "%s", *e.msg ? e.msg : "no memory for documents");
        return NULL;
    }
    b->wait = 0.012;
    b->mark_doc = b->wish_doc = -1;
    b->search.direction = 1;
    documents_layout(wb);
    return wb->browse = b;
}

static void forget_doc(struct browse_doc *d)
{
    free(d->nodes);
    free(d->child);
    free(d->next);
    free(d->is_turned);
    *d = (struct browse_doc){.first = -1, .last = -1};
}

void browse_release(struct browse **ptr)
{
    struct browse *b = *ptr;
    if (!b)
        return;
    *ptr = NULL;
    for (int i = 0; i < OPENED; i++)
        browse_forget(&b->opened[i]);
    io_release(&b->io);
    for (int i = 0; i < b->n_docs; i++)
        forget_doc(&b->docs[i]);
    regex_release(&b->filter);
    regex_release(&b->pattern);
    free(b->rows);
    free(b->window);
    free(b);
}

/* --- Opening ----------------------------------------------------------------------------------- */

static int add_doc(struct workbench *wb, struct browse *b, int id)
{
    if (id < 0) {
        workbench_say(
            wb, true, "%d documents were opened in this session; a new one opens more", IO_DOCS);
        return -1;
    }
    while (b->n_docs <= id)
        b->docs[b->n_docs++] = (struct browse_doc){.first = -1, .last = -1};
    return id;
}

void browse_show(struct workbench *wb, int focus)
{
    struct browse *b = browse_of(wb);
    if (!b)
        return;
    if (!wb->in_documents) {
        wb->in_documents = true;
        wb->before_documents = wb->focus;
        wb->zoomed = SLOT_NONE;
        wb->n_back = 0;
        workbench_arranged(wb);
    }
    workbench_focus(wb, focus);
    browse_list(b);
}

void browse_open(struct workbench *wb, const char *file, const char *path)
{
    struct browse *b = browse_of(wb);
    struct doc_view v;
    int id = -1;
    if (!b)
        return;
    for (int i = 0; i < b->n_docs && id < 0; i++)
        if (io_doc(&v, b->io, i) && !strcmp(v.path, file) && !v.e.code)
            id = i;
    if (id < 0)
        id = add_doc(wb, b, io_open(b->io, file));
    if (id < 0)
        return;
    browse_show(wb, PANE_DOCUMENTS);
    b->wish_doc = id;
    b->wish_at[0] = '\0';
    memset(b->wish_order, 0, sizeof b->wish_order);
    snprintf(b->wish, sizeof b->wish, "%s", path ? path : "");
    for (int i = 0; i < b->n_rows; i++)
        if (b->rows[i].doc == id && b->rows[i].node < 0)
            b->at = i;
}

/* The document of a job's report, made if need be; -1: none. */
static int report_doc(struct workbench *wb, struct held_report *h, const char *title, uint64_t job)
{
    struct browse *b = browse_of(wb);
    if (!b || !h)
        return -1;
    for (int i = 0; i < b->n_docs; i++)
        if (b->docs[i].job == job && job && io_doc(&(struct doc_view){.n_nodes = 0}, b->io, i)) {
            io_refresh(b->io, i);
            return i;
        }
    int id = add_doc(wb, b, io_open_report(b->io, h, title));
    if (id >= 0)
        b->docs[id].job = job;
    return id;
}

/* Shows the list with the document's first dataset beside it. */
static void show_report(struct workbench *wb, int id)
{
    struct browse *b = wb->browse;
    b->is_visit = !wb->in_documents || b->is_visit;
    browse_show(wb, PANE_DOCUMENTS);
    b->wish_doc = id;
    snprintf(b->wish, sizeof b->wish, "*");
}

void browse_report(
    struct workbench *wb, struct held_report *h, const char *title, uint64_t job, bool is_live)
{
    int id = report_doc(wb, h, title, job);
    if (id < 0)
        return;
    wb->browse->docs[id].is_live = is_live;
    if (!is_live)
        show_report(wb, id);
}

/* --- What is known of them ---------------------------------------------------------------------- */

static bool grow_doc(struct browse_doc *d, int n)
{
    int cap = n + n / 2 + 64;
    const struct node **nodes = realloc(d->nodes, (size_t)cap * sizeof *nodes);
    d->nodes = nodes ? nodes : d->nodes;
    int *child = realloc(d->child, (size_t)cap * sizeof *child);
    d->child = child ? child : d->child;
    int *next = realloc(d->next, (size_t)cap * sizeof *next);
    d->next = next ? next : d->next;
    uint8_t *turned = realloc(d->is_turned, (size_t)cap);
    d->is_turned = turned ? turned : d->is_turned;
    if (!nodes || !child || !next || !turned)
        return false;
    d->cap = cap;
    return true;
}

/* The nodes that came since; links between them follow. */
static bool sync_doc(struct browse *b, int id, int n)
{
    struct browse_doc *d = &b->docs[id];
    int had = d->n;
    if (n <= d->n || (n > d->cap && !grow_doc(d, n)))
        return false;
    d->n += io_nodes(d->nodes + d->n, b->io, id, d->n, n - d->n);
    memset(d->is_turned + had, 0, (size_t)(d->n - had));
    for (int i = had; i < d->n; i++)
        d->child[i] = d->next[i] = -1;
    /* Siblings in their order: from the last to the first, each before the one that follows. */
    d->first = -1;
    for (int i = 0; i < d->n; i++)
        d->child[i] = -1;
    for (int i = d->n - 1; i >= 0; i--) {
        int up = d->nodes[i]->parent;
        int *head = up < 0 ? &d->first : &d->child[up];
        d->next[i] = *head;
        *head = i;
    }
    return d->n > had;
}

const struct node *browse_node(struct browse *b, const struct browse_row *r)
{
    return r->node < 0 ? NULL : b->docs[r->doc].nodes[r->node];
}

bool browse_is_open(const struct browse *b, const struct browse_row *r)
{
    const struct browse_doc *d = &b->docs[r->doc];
    if (b->filter)
        return true;
    if (r->node < 0)
        return !d->is_turned_itself;
    return (d->n <= MANY) != (d->is_turned[r->node] != 0);
}

void browse_turn(struct browse *b, const struct browse_row *r)
{
    struct browse_doc *d = &b->docs[r->doc];
    if (r->node < 0)
        d->is_turned_itself = !d->is_turned_itself;
    else
        d->is_turned[r->node] ^= 1;
}

static bool add_row(struct browse *b, int doc, int node)
{
    if (b->n_rows == b->cap_rows) {
        int cap = b->cap_rows ? b->cap_rows * 2 : 256;
        struct browse_row *more = realloc(b->rows, (size_t)cap * sizeof *more);
        if (!more)
            return false;
        b->rows = more;
        b->cap_rows = cap;
    }
    b->rows[b->n_rows++] = (struct browse_row){doc, node};
    return true;
}

static bool fits_filter(struct browse *b, struct matcher *m, const struct node *n)
{
    size_t begin, end;
    struct err e;
    bool inverted = b->filter_text[0] == '!';
    int found = regex_find(&begin, &end, m, n->path, strlen(n->path), 0, 0, &e);
    return found >= 0 && (found == 1) != inverted;
}

/* A document's rows, depth first; with a filter only the datasets that match, flat. */
static void list_doc(struct browse *b, int id, struct matcher *m)
{
    struct browse_doc *d = &b->docs[id];
    int i = d->first;
    if (m) {
        for (i = 0; i < d->n; i++)
            if (d->nodes[i]->kind != NODE_GROUP && fits_filter(b, m, d->nodes[i]) &&
                !add_row(b, id, i))
                return;
        return;
    }
    while (i >= 0) {
        struct browse_row r = {id, i};
        if (!add_row(b, id, i))
            return;
        if (d->nodes[i]->kind == NODE_GROUP && d->child[i] >= 0 && browse_is_open(b, &r)) {
            i = d->child[i];
            continue;
        }
        while (i >= 0 && d->next[i] < 0)
            i = d->nodes[i]->parent;
        if (i >= 0)
            i = d->next[i];
    }
}

void browse_list(struct browse *b)
{
    struct browse_row was =
        b->n_rows && b->at < b->n_rows ? b->rows[b->at] : (struct browse_row){0, -1};
    struct matcher *m = NULL;
    struct doc_view v;
    struct err e;
    if (b->filter && matcher_create(&m, b->filter, &e))
        m = NULL;
    b->n_rows = 0;
    for (int i = 0; i < b->n_docs; i++) {
        struct browse_row head = {i, -1};
        if (!io_doc(&v, b->io, i))
            continue;
        sync_doc(b, i, v.n_nodes);
        if (!add_row(b, i, -1))
            break;
        if (browse_is_open(b, &head))
            list_doc(b, i, m);
    }
    matcher_release(&m);
    /* The cursor stays on what it was on. */
    if (b->at >= b->n_rows || b->rows[b->at].doc != was.doc || b->rows[b->at].node != was.node)
        for (int i = 0; i < b->n_rows; i++)
            if (b->rows[i].doc == was.doc && b->rows[i].node == was.node)
                b->at = i;
    if (b->at >= b->n_rows)
        b->at = b->n_rows > 0 ? b->n_rows - 1 : 0;
}

/* The node of a path, with or without the leading runs/; path "": the first dataset that is listed. */
static int find_node(const struct browse *b, int doc, const char *path)
{
    const struct browse_doc *d = &b->docs[doc];
    bool wants_runs = !strncmp(path, "runs/", 5);
    for (int k = 0; !*path && k < b->n_rows; k++) {
        int i = b->rows[k].doc == doc ? b->rows[k].node : -1;
        if (i >= 0 && d->nodes[i]->kind == NODE_NUMBERS && d->nodes[i]->rank > 0)
            return i;
    }
    for (int i = 0; *path && i < d->n; i++) {
        const char *own = d->nodes[i]->path;
        if (!strcmp(own + (!wants_runs && !strncmp(own, "runs/", 5) ? 5 : 0), path))
            return i;
    }
    return -1;
}

/* The dataset that was asked for when its document was opened. */
static void grant_wish(struct workbench *wb, struct browse *b)
{
    struct doc_view v;
    int doc = b->wish_doc;
    if (doc < 0)
        return;
    bool is_open = io_doc(&v, b->io, doc);
    if (!is_open || v.e.code) {
        b->wish_doc = -1;
        if (is_open)
            workbench_say(wb, true, "%s", v.e.msg);
        return;
    }
    if (*v.e.msg && !v.is_opening)
        workbench_say(wb, false, "%s", v.e.msg);
    if (v.n_nodes > b->docs[doc].n)
        browse_list(b); /* the walk may have ended since the rows were made */
    bool is_any = !*b->wish || !strcmp(b->wish, "*");
    const char *path = is_any ? "" : b->wish + strspn(b->wish, "/");
    int node = find_node(b, doc, path);
    if (node < 0 && (v.is_opening || v.is_walking))
        return;
    b->wish_doc = -1;
    if (node < 0) {
        if (!is_any)
            workbench_say(wb, true, "%s has no dataset %s; / searches", v.title, path);
        return;
    }
    for (int k = 0; k < b->n_rows; k++)
        if (b->rows[k].doc == doc && b->rows[k].node == node)
            b->at = k;
    const struct node *n = b->docs[doc].nodes[node];
    if (n->kind == NODE_STRANGE)
        workbench_say(wb, true, "%s cannot be shown: %s", n->path, n->why);
    else if (n->kind != NODE_GROUP && *b->wish)
        browse_enter(wb, doc, node);
    /* Of a result the list has the keys: other blocks are a key away, and so is the way back. */
    if (*b->wish && is_any && wb->w >= DOCUMENTS_W)
        workbench_focus(wb, PANE_DOCUMENTS);
    if (*b->wish_at && b->now) {
        char at[sizeof b->wish_at];
        memcpy(at, b->wish_at, sizeof at);
        b->wish_at[0] = '\0';
        colon_at(wb, at);
    }
}

bool browse_poll(struct workbench *wb)
{
    struct browse *b = wb->browse;
    struct io_progress p;
    if (!b)
        return false;
    for (int i = 0; i < b->n_docs; i++)
        if (b->docs[i].is_live)
            io_refresh(b->io, i);
    int rows = b->n_rows, wish = b->wish_doc;
    browse_list(b);
    grant_wish(wb, b);
    browse_sort_poll(wb);
    io_progress(&p, b->io);
    if (!p.id || p.is_running || p.id == b->seen_job)
        return b->n_rows != rows || b->wish_doc != wish;
    b->seen_job = p.id;
    if (p.e.code) {
        workbench_say(wb, true, "%s", p.e.msg);
    } else if (p.is_cancelled) {
        workbench_say(wb, false, "cancelled");
    } else if (p.what == IO_SEARCH && b->now) {
        char where[96];
        browse_searched(where, sizeof where, b);
        workbench_say(
            wb, false, p.found ? "found in %s; n next, N previous" : "no match in %s", where);
        if (!p.found)
            return true;
        struct view_state *st = &wb->panes[PANE_BLOCK].st;
        bool flat = b->now->spec->row < 0 || b->now->spec->col < 0;
        st->at[0] = p.row;
        if (!flat || spec_is_table(b->now->spec))
            st->at[1] = p.col;
    } else if ((p.what == IO_SORT_ROWS || p.what == IO_SORT_COLS) && b->now && p.order) {
        struct spec *s = spec_copy(b->now->spec);
        if (!s)
            return true;
        struct order **slot = p.what == IO_SORT_ROWS ? &s->row_order : &s->col_order;
        order_release(slot);
        *slot = order_share(p.order);
        browse_plane(wb, s);
        wb->panes[PANE_BLOCK].st.at[p.what == IO_SORT_ROWS ? 0 : 1] = 0;
    }
    return true;
}

const char *browse_dataset(const struct workbench *wb, struct arena *a, struct err *e)
{
    const struct browse *b = wb->browse;
    struct doc_view v;
    if (!b || !b->now || !io_doc(&v, b->io, b->now->doc) || !*v.path)
        return NULL;
    /* A relative name means another file in another folder. */
    char *whole = realpath(v.path, NULL);
    const char *line = arena_printf(a, e, "%s %s", whole ? whole : v.path, b->now->spec->n->path);
    free(whole);
    return line;
}

/* --- Keys and words ------------------------------------------------------------------------------ */

static struct browse_row *row_at(struct browse *b)
{
    return b->at < b->n_rows ? &b->rows[b->at] : NULL;
}

void act_documents(struct workbench *wb, const struct key *k)
{
    (void)k;
    if (!browse_of(wb))
        return;
    wb->browse->is_visit = false;
    if (wb->in_documents)
        workbench_choose(wb, wb->layout);
    else
        browse_show(wb, wb->browse->now ? PANE_BLOCK : PANE_DOCUMENTS);
}

void act_open_file(struct workbench *wb, const struct key *k)
{
    (void)k;
    workbench_line(wb, INPUT_COMMAND, "open ");
}

void act_open_node(struct workbench *wb, const struct key *k)
{
    if (wb->browse)
        wb->browse->is_visit = false;
    (void)k;
    struct browse *b = browse_of(wb);
    struct browse_row *r = b ? row_at(b) : NULL;
    if (!r)
        return;
    const struct node *n = browse_node(b, r);
    if (!n || n->kind == NODE_GROUP) {
        browse_turn(b, r);
        browse_list(b);
    } else if (n->kind == NODE_STRANGE) {
        workbench_say(wb, true, "%s cannot be shown: %s", n->path, n->why);
    } else {
        browse_enter(wb, r->doc, r->node);
    }
}

void act_close_document(struct workbench *wb, const struct key *k)
{
    (void)k;
    struct browse *b = browse_of(wb);
    struct browse_row *r = b ? row_at(b) : NULL;
    struct doc_view v;
    if (!r || !io_doc(&v, b->io, r->doc))
        return;
    int doc = r->doc;
    /* Differences go with either of their documents. */
    io_close(b->io, doc);
    for (int i = 0; i < OPENED; i++)
        if (b->opened[i].spec &&
            !io_doc(&(struct doc_view){.n_nodes = 0}, b->io, b->opened[i].doc)) {
            if (b->now == &b->opened[i])
                b->now = NULL;
            browse_forget(&b->opened[i]);
        }
    if (b->mark_doc == doc)
        b->mark_doc = -1;
    for (int i = 0; i < b->n_docs; i++)
        if (b->docs[i].n && !io_doc(&(struct doc_view){.n_nodes = 0}, b->io, i))
            forget_doc(&b->docs[i]);
    browse_list(b);
    workbench_say(wb, false, "%s is closed", v.title);
}

void act_subtract(struct workbench *wb, const struct key *k)
{
    (void)k;
    struct browse *b = browse_of(wb);
    struct browse_row *r = b ? row_at(b) : NULL;
    struct doc_view v, from;
    if (!r || !io_doc(&v, b->io, r->doc))
        return;
    const struct node *n = browse_node(b, r);
    bool is_block = n && n->kind == NODE_NUMBERS;
    if (b->mark_doc < 0 || !io_doc(&from, b->io, b->mark_doc)) {
        b->mark_doc = r->doc;
        b->mark_node = is_block ? r->node : -1;
        workbench_say(wb, false, "%s minus what? m on another %s", is_block ? n->path : v.title,
            is_block ? "dataset of its shape" : "document");
        return;
    }
    if ((b->mark_node >= 0) != is_block) {
        workbench_say(wb, true, "a document takes a document, a dataset takes one of its shape");
        b->mark_doc = -1;
        return;
    }
    char title[256];
    snprintf(title, sizeof title, "%.120s minus %.120s", from.title, v.title);
    int id = add_doc(wb, b,
        io_open_minus(b->io, b->mark_doc, b->mark_node, r->doc, is_block ? r->node : -1, title));
    b->mark_doc = -1;
    b->wish_doc = id;
    b->wish[0] = '\0';
    browse_list(b);
}

void colon_open(struct workbench *wb, const char *arg)
{
    char file[1024];
    /* FILE PATH: the file's name ends at a blank behind .h5 or .hdf5, so that names may have some. */
    const char *cut = NULL, *p;
    for (p = arg; *p && !cut; p++)
        if (*p == ' ' && ((p - arg > 3 && !strncmp(p - 3, ".h5", 3)) ||
                             (p - arg > 5 && !strncmp(p - 5, ".hdf5", 5))))
            cut = p;
    snprintf(file, sizeof file, "%.*s", (int)(cut ? cut - arg : (long)strlen(arg)), arg);
    size_t n = strlen(file);
    while (n && file[n - 1] == ' ')
        file[--n] = '\0';
    const char *path = cut ? cut + strspn(cut, " ") : "";
    browse_open(wb, file, path);
}

void colon_documents(struct workbench *wb, const char *arg)
{
    (void)arg;
    browse_show(wb, PANE_DOCUMENTS);
}
