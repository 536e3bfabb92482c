#ifndef SONDE_APP_PATCHING_H
#define SONDE_APP_PATCHING_H

#include "app/patch_align.h"
#include "app/workbench.h"

/* Patching in the workbench: a pair of prompts, how they are aligned, and the sweeps that were asked for.
 * A sweep is a job whose line is what `sonde run` takes; what it has computed so far is in its report,
 * found by that line, so that going back to a site asks nothing. */

enum sweep_kind { SWEEP_EXACT, SWEEP_ESTIMATE, SWEEP_KINDS };

#define SWEEPS 24

struct sweep {
    char *line;
    uint64_t serial, job;
    struct held_report *held; /* NULL: nothing yet */
    uint64_t used;
};

struct patching {
    char *source;        /* of :pair, as it was said; NULL: no pair */
    char *asked;         /* what the answer belongs to: source, metric, model, BOS, edits */
    struct answer *pair; /* NULL: not there yet */
    struct err e;        /* why there is none */
    struct align_rows rows;
    char *wish_align; /* of a log, for the pair that is being asked for; NULL: its own */
    int64_t column, seen_pos, mark; /* the cursor; mark: where a span begins, -1: none */
    char site[64], metric[32];
    bool noise, is_raw, wants_run, own_scale;
    bool shows_clean; /* its clean prompt comes on screen with the answer */
    int choice;       /* the cursor of the menu */
    char outer[64];   /* the site that was drilled from, "": none */
    int64_t outer_layer;
    int64_t at; /* of a site by position: the receiving position that is patched alone, -1: all */
    struct sweep sweeps[SWEEPS];
    int n_sweeps;
    uint64_t clock, serial;      /* serial: of a finished circuit */
    struct held_report *circuit; /* of the last edges that ended */
    struct view_data drawn;      /* its table, read once */
    struct arena table;
    uint64_t seen[SWEEP_KINDS]; /* what the correlation was computed of */
    double rho;
    int peak, peak_row, peak_col; /* which of the largest cells the cursor was put on, and where */
    uint64_t seen_scale;          /* the same of the limits of both maps */
    double lo, hi, least;
};

void patching_release(struct patching **p);
struct patching *patching_of(struct workbench *wb); /* made at first use; NULL: out of memory */
/* The pair as it stands, NULL: none. */
const struct paired *patching_pair(const struct workbench *wb);
/* The same while its clean prompt is the one on screen: what the panes of the prompt explain is then its
 * answer against its wrong answer. */
const struct paired *patching_on_screen(const struct workbench *wb);
/* Puts the shared position where the metric is; the cursor of the maps stays. */
void patching_to_metric(struct workbench *wb);
/* Whether its numbers belong to another metric, model, BOS or edits: asked for, or cancelled. */
bool patching_is_past(const struct workbench *wb);
/* Asks for the pair again if the model, BOS, the edits or the metric are not what they were. */
void patching_refresh(struct workbench *wb);
void patching_take_pair(struct workbench *wb, struct answer *a); /* takes it */
/* A command's answer goes by: keeps the report if it is a sweep's. */
void patching_see(struct workbench *wb, const struct answer *a);
/* Words that come back here, for the log; NULL: none. */
const char *patching_pair_line(const struct workbench *wb, struct arena *a, struct err *e);
const char *patching_align_line(const struct workbench *wb, struct arena *a, struct err *e);
const char *patching_sweep_line(const struct workbench *wb, struct arena *a, struct err *e);
/* The pair as `run` takes it, --clean to --align; "": none. */
const char *patching_pair_flags(const struct workbench *wb, struct arena *a, struct err *e);

/* Between the files of patching. */
int patching_receiver(
    const struct patching *p); /* the prompt that is patched: 0 clean, 1 corrupt */
/* The sweep of the present site, direction, metric and alignment; NULL: not asked for. */
struct sweep *patching_sweep(struct workbench *wb, enum sweep_kind kind);
bool patching_job(const struct workbench *wb, const struct sweep *s, struct job_view *out);
void patching_run(struct workbench *wb); /* both sweeps, or says why not */
/* What another site, direction or metric needs of the maps: a fresh cursor, and the view that suits. */
void patching_fresh(struct workbench *wb);
void patching_leave(struct workbench *wb);            /* to the site that was drilled from */
void patching_turn(struct workbench *wb, bool noise); /* the direction; the same token stays */
void patching_circuit(struct workbench *wb);          /* edges of the pair */
struct sweep *patching_edges(struct workbench *wb);   /* the job of it; NULL: not asked for */
bool patching_stop(struct workbench *wb);             /* the sweeps that run or wait; false: none */
/* "clean has 15 tokens .."; "": aligned. */
void patching_parting(const struct workbench *wb, char *buf, size_t n);
void patching_follow(struct workbench *wb); /* the shared position moved: the cursor does */
void patching_lead(struct workbench *wb);   /* and the other way around */

#endif
