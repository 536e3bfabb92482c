#ifndef SONDE_APP_BROWSE_INSIDE_H
#define SONDE_APP_BROWSE_INSIDE_H

#include "app/browse_store.h"
#include "model/core/regex.h"
#include "views/buf.h"

/* The reading thread's own; only browse_io.c and browse_job.c include this. */

struct doc {
    bool is_used, is_opening, is_walking, is_closing, wants_more;
    char title[256], path[1024];
    const char *kind;
    struct err e;
    struct tree *tree; /* the thread's; nodes are published in `nodes` */
    const struct node **nodes;
    int n_nodes, cap_nodes;
    struct held_report *held; /* to be opened */
    int minus_a, minus_b, minus_na, minus_nb;
    bool is_minus;
    double asked, seconds;
};

struct io_task {
    struct io_progress now; /* what the screen sees */
    uint64_t ids;
    struct spec *spec;
    struct io_search search;
    int64_t line;
    bool descending, wants_end;
    double began;
    /* how far the thread is; see browse_job.c */
    bool is_set_up, found;
    int64_t done, total, row, col;
    int64_t from[TREE_RANK], lot[TREE_RANK];
    struct plane_stats stats;
    struct acc *accs;
    double *piece, *values; /* values: of a sort */
    const char **names;     /* the same of texts */
    uint8_t *hits;          /* of a search in an order: labels that match, as they lie */
    struct column_kept {    /* what was sorted by last: the other way around it is not read again */
        struct spec *spec;  /* the plane; NULL: nothing */
        bool is_rows;
        int64_t line, n; /* line: as it lies */
        double *values;
    } kept;
    struct order *order;
    struct matcher *matcher;
    struct arena texts;
    struct err e;
    double shown; /* when the screen last heard of it */
};

struct io {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    bool is_ending, has_thread;
    int wake_fd;
    uint64_t frame;
    double until; /* how long this frame may be held up */
    struct doc docs[IO_DOCS];
    int n_docs;
    struct store store;
    struct want {
        struct tile_key key;
        struct spec *spec;
        int axis; /* of labels */
        uint64_t frame;
    } wants[512], now; /* now: being read */
    int n_wants;
    bool has_now;
    atomic_uint_fast64_t now_frame; /* the last frame that wanted what is being read */
    uint64_t generation;
    struct spec *cell_spec; /* the exact cell asked for, and the one known */
    int64_t cell_row, cell_col;
    bool wants_cell, has_cell;
    struct io_cell cell;
    uint64_t cell_id;
    int64_t known_row, known_col;
    int about_doc, about_node; /* attributes asked for */
    bool wants_about, has_about;
    struct buf about, about_shown;
    struct io_task job;
    double told; /* when the main loop was last woken */
    bool owes;   /* and it has to be once more */
};

/* A slice of the job's work, without the lock: touches nothing the screen reads. True: it is over. */
bool job_step(struct io_task *j, struct tree *t);
void job_clear(struct io_task *j);
#define JOB_SLICE 0.012 /* seconds before others have their turn */
bool sort_step(struct io_task *j, struct tree *t);
bool search_step(struct io_task *j, struct tree *t);
void kept_release(struct column_kept *k);
struct tree *io_tree(struct io *io, int doc); /* the thread's own */
int labels_read(struct tile *t, const struct want *want, struct tree *tree);
/* With the lock held: asks for a tile unless it is asked for already; waits until the thread says that
 * something is done (false: the time is up). */
void io_want(struct io *io, const struct tile_key *k, struct spec *s, int axis);
bool io_wait(struct io *io, double until);

#endif
