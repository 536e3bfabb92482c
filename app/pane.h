#ifndef SONDE_APP_PANE_H
#define SONDE_APP_PANE_H

#include "app/engine.h"
#include "app/layout.h"
#include "views/fields.h"
#include "views/view.h"

struct workbench;
struct key;

#define PANE_HITS 256

struct pane {
    const struct pane_class *class;
    enum pane_id id; /* its kind */
    int slot;        /* its place in workbench.panes */
    struct rect rect;
    const struct view *view;
    struct view_state st, side_st;
    char readout[VIEW_READOUT];
    struct err e; /* of its last answer or drawing; code 0: fine */
    struct mark hits[PANE_HITS];
    int n_hits;
    int metric;
    bool is_change; /* shows what the edits changed */
    struct field_change {
        struct field now, was;
    } change;
    /* What its fields are made of; rebuilt for every drawing. */
    struct field field;
    struct field_mapped map, was_map;
    struct field_values values;
    const char *scale_note;    /* for the legend; NULL: none */
    const struct field *error; /* standard errors of `field`; NULL: none */
    const struct field *many;  /* several fields of one shape in place of `field`; NULL: none */
    int n_many;
};

/* A kind of pane is this descriptor, `const struct pane_class pane_NAME` in any file of app/, and a row
 * of panes.def. */
struct pane_class {
    const char *name, *title; /* name as in keys.def */
    const char *help;         /* two sentences, where neither an analysis nor a view has them */
    const char *view;
    const char *side;     /* a view of the last axis beside it, where there is room; NULL: none */
    const char *analysis; /* whose sentences help shows; NULL: none */
    enum ask ask;         /* which answer it draws; ASK_COUNT: none */
    const char *empty;    /* shown when there is none */
    const char *search_hint; /* beside the line that is typed after /; NULL: none */
    /* What is shown instead of `empty`; false: nothing else. */
    bool (*why)(struct workbench *wb, const struct pane *p, char *buf, size_t n);
    /* Builds the field; false: nothing to draw. */
    bool (*data)(struct workbench *wb, struct pane *p, struct arena *frame);
    void (*heading)(const struct workbench *wb, const struct pane *p, char *buf, size_t n);
    void (*sum)(const struct workbench *wb, const struct pane *p, char *buf, size_t n);
    void (*follow)(const struct workbench *wb, struct pane *p); /* selection to cursor */
    void (*lead)(struct workbench *wb, const struct pane *p);   /* cursor to selection */
    int search_axis;                                            /* -1: nothing to search */
    /* A pane that is no view of a field: draws itself inside its frame, p->readout too. */
    void (*draw)(struct workbench *wb, struct pane *p, struct canvas *c, struct rect in);
    /* Keys come here before the key table; true: taken. x and y of a mouse key are the canvas'. */
    bool (*key)(struct workbench *wb, struct pane *p, const struct key *k);
    void (*open)(struct workbench *wb, struct pane *p); /* it comes on screen: asks for its data */
    /* Searches by itself; direction 0: a new pattern, else the next hit that way. */
    void (*search)(struct workbench *wb, struct pane *p, const char *pattern, int direction);
    /* Before and after a drawing for a file: its data is then what is on screen, nothing more. */
    void (*paper)(struct workbench *wb, struct pane *p, bool begins);
};
#define PANE(id, name) extern const struct pane_class pane_##name;
#include "app/panes.def"
#undef PANE
const struct pane_class *pane_class(int kind);
bool pane_is_focused(const struct workbench *wb, const struct pane *p);

bool pane_shows_change(const struct workbench *wb, const struct pane *p);
void pane_draw(struct workbench *wb, struct pane *p, struct canvas *c);
void pane_data(struct workbench *wb, struct pane *p, struct view_data *d, struct mark *marks);
/* The selected component in the DLA's own order, -1: none. */
int64_t component_index(const struct answer *a, const char *label);
void token_show(char *buf, size_t n, const char *token);

#endif
