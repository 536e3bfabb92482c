#ifndef SONDE_APP_PANE_H
#define SONDE_APP_PANE_H

#include "app/engine.h"
#include "app/layout.h"
#include "views/fields.h"
#include "views/view.h"

struct workbench;

#define PANE_HITS 256

struct pane {
    const struct pane_class *class;
    enum pane_id id;
    struct rect rect;
    const struct view *view;
    struct view_state st, side_st;
    char readout[VIEW_READOUT];
    struct err e; /* of its last answer or drawing; code 0: fine */
    struct mark hits[PANE_HITS];
    int n_hits;
    int metric;
    /* What its fields are made of; rebuilt for every drawing. */
    struct field field;
    struct field_mapped map;
    struct field_values values;
};

/* A kind of pane is a row of panes.c. */
struct pane_class {
    const char *name, *title; /* name as in keys.def */
    const char *view;
    const char *side;     /* a view of the last axis beside it, where there is room; NULL: none */
    const char *analysis; /* whose sentences help shows; NULL: none */
    enum ask ask;         /* which answer it draws */
    const char *empty;    /* shown when there is none */
    /* Builds the field; false: nothing to draw. */
    bool (*data)(struct workbench *wb, struct pane *p, struct arena *frame);
    void (*heading)(const struct workbench *wb, const struct pane *p, char *buf, size_t n);
    void (*sum)(const struct workbench *wb, const struct pane *p, char *buf, size_t n);
    void (*follow)(const struct workbench *wb, struct pane *p); /* selection to cursor */
    void (*lead)(struct workbench *wb, const struct pane *p);   /* cursor to selection */
    int search_axis;                                            /* -1: nothing to search */
};
extern const struct pane_class pane_classes[PANE_COUNT];

void pane_draw(struct workbench *wb, struct pane *p, struct canvas *c);
void pane_data(struct workbench *wb, struct pane *p, struct view_data *d, struct mark *marks);
/* The selected component in the DLA's own order, -1: none. */
int64_t component_index(const struct answer *a, const char *label);
void token_show(char *buf, size_t n, const char *token);

#endif
