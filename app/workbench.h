#ifndef SONDE_APP_WORKBENCH_H
#define SONDE_APP_WORKBENCH_H

#include "app/colon.h"
#include "app/engine.h"
#include "app/keys.h"
#include "app/line.h"
#include "app/pane.h"
#include "model/core/regex.h"

/* The workbench without a terminal: keys come in, a canvas comes out, the engine is asked. Tests
 * drive it with key scripts; the loop in verb_workbench.c with a person. */
struct workbench;
struct form;
struct history;
struct alignment;
struct edit_menu;
struct journal;
struct palette;
struct patching;
struct prompts;
struct saver;

/* What every pane shares. Choosing it in one shows it in the others. */
struct selection {
    int64_t pos, key, row; /* row: of the lens, L is the final one */
    int64_t layer, head;
};

#define DOCUMENTS_W 100 /* narrower screens show the list or the block */

enum ask_for { INPUT_NONE, INPUT_PROMPT, INPUT_COMMAND, INPUT_SEARCH, INPUT_EXPORT };

/* Something drawn over the panes that takes every key while it is there. */
struct overlay {
    void (*draw)(struct workbench *wb, struct canvas *c);
    void (*key)(struct workbench *wb, const struct key *k);
};

struct snapshot {
    uint64_t of; /* which open prompt it was */
    char *prompt;
    bool bos;
    char **edits;
    int n_edits;
};

struct workbench {
    struct engine *engine;
    struct facts facts;
    struct answer *lens, *dla, *neurons, *text;
    struct answer *dossier;
    char dossier_of[64]; /* what it is about: L4H2, L3N512, L2, @13; "": nothing yet */
    struct answer *base; /* the prompt without edits, while there are some */
    int64_t pin_target, pin_dla, pin_versus,
        pin_pos; /* under edits the question stays what it was */
    struct selection sel;
    struct pane panes[PANE_SLOTS];          /* the first of each kind at its kind */
    int focus, zoomed, main_focus, back[8]; /* slots; back: where Esc returns to */
    int n_back;
    int layout; /* 1..LAYOUTS */
    struct layout layouts[LAYOUTS];
    int before_documents;       /* the slot that had the keys then */
    bool in_documents;          /* the documents are on screen instead, in a layout of their own */
    struct layout documents[2]; /* wide screens; narrow ones, a pane at a time */
    struct browse *browse;      /* NULL: none was opened yet */
    bool is_single;             /* one pane at a time, for lack of room */
    const struct overlay *overlay; /* NULL: none */
    struct palette *palette;       /* what the overlays keep; NULL: not open yet */
    struct form *form;
    struct edit_menu *menu;
    struct saver *saver;       /* NULL: nothing was written yet */
    struct prompts *prompts;   /* those open beside this one; NULL: none so far */
    struct patching *patching; /* NULL: no pair so far */
    bool shifts;               /* B of the comparison stands `shift` positions further, unaligned */
    int64_t shift;
    struct alignment *aligned;                /* of the last comparison; NULL: none yet */
    char model_name[1024], asked_model[1024]; /* as asked for: the open one, the next one */
    enum ask_for input;
    struct line prompt, line;
    char *sought;                     /* what Ctrl-R looks for in the history; NULL: nothing */
    char *shown_prompt;               /* what the answers belong to, and what Esc restores */
    struct history *history;          /* commands; NULL: none kept */
    struct journal *journal;          /* what is done, as a log; NULL: not recorded */
    bool is_resumed;                  /* what an earlier session computed is not kept */
    bool is_replaying, has_selection; /* a log is read: nothing is asked; the selection is chosen */
    bool keeps_base;                  /* the next answer pushes the present one there */
    bool wants_tour, remembers;       /* across sessions, in the state file */
    char asked_key, may_key; /* 'q' or 'e' (Esc): said what it would do; pressed again it does */
    bool bos, wants_quit, wants_suspend, wants_redraw;
    int help_scroll;
    char subject[32];      /* of the help; "": the pane */
    int tour;              /* its step, 0: none */
    char *target, *versus; /* as typed or chosen: a text or #ID; NULL: the model's best */
    char **edits;
    int n_edits;
    struct snapshot *undo, *redo;
    int n_undo, n_redo;
    struct regex *pattern;
    bool inverted;
    char message[512];
    bool is_error;
    char *last_command;
    char *copied; /* for the terminal to send; the loop takes it */
    uint64_t serial, asked[ASK_COUNT];
    const struct theme *theme;
    bool has_mouse, has_glyphs; /* has_glyphs: not the terminal's own choice */
    enum glyphs glyphs;
    struct button {
        struct rect rect;
        int row;   /* of the key table */
    } buttons[16]; /* the footer's keys, for the mouse */
    int n_buttons;
    struct arena frame;
    const struct canvas *canvas; /* the last one drawn on */
    int w, h, cursor_x, cursor_y;
    double ready_ms;
};

int workbench_init(
    struct workbench *wb, struct engine *g, const char *prompt, bool bos, struct err *e);
void workbench_release(struct workbench *wb);
void workbench_edit(struct workbench *wb, const char *text); /* --edit of the command line */
void workbench_open(struct workbench *wb, const char *model);
void workbench_key(struct workbench *wb, const struct key *k);
/* Takes what the engine has; whether anything changed. */
bool workbench_poll(struct workbench *wb);
void workbench_draw(struct workbench *wb, struct canvas *c);
struct session;
struct command;
/* The verb: on a terminal until the person leaves. Operands: a file to browse, a dataset in it. */
int workbench_run(struct session *s, const struct command *c, struct err *e);

/* Between the files of the workbench. */
void workbench_ask(struct workbench *wb, enum ask ask);
void workbench_ask_dla(struct workbench *wb);
void workbench_ask_dossier(struct workbench *wb); /* of dossier_of, if its pane is shown */
void workbench_say(struct workbench *wb, bool is_error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
struct layout *workbench_layout(struct workbench *wb); /* the one in force */
void documents_layout(struct workbench *wb);           /* that of the documents as it was made */
void workbench_arranged(struct workbench *wb);         /* it changed: slots get their panes */
void workbench_choose(struct workbench *wb, int number);
/* Layouts as they were left for models of this shape; only where `remembers` is set. */
void layouts_load(struct workbench *wb);
void layouts_save(struct workbench *wb);
bool workbench_shows(const struct workbench *wb, int slot);
void workbench_focus(struct workbench *wb, int slot);
void workbench_drill(struct workbench *wb, int slot); /* Esc comes back */
void workbench_back(struct workbench *wb);
bool workbench_can_leave(const struct workbench *wb);
void workbench_step(struct workbench *wb, int step); /* Tab, Shift-Tab */
void workbench_help(struct workbench *wb);
void workbench_line(
    struct workbench *wb, enum ask_for what, const char *text); /* asks for a line */
void workbench_move(struct workbench *wb, enum view_move m);
void workbench_selected(struct workbench *wb); /* the selection changed */
void workbench_clamp(struct workbench *wb);    /* brings it into what is there */
void workbench_remember(struct workbench *wb); /* a snapshot for undo; what was undone is gone */
void undo_release(struct workbench *wb);
void workbench_run_prompt(struct workbench *wb);
/* Opens what a job has made: its report, or its text; false: nothing. */
bool workbench_show_job(struct workbench *wb, uint64_t id);
double job_seconds_left(const struct job_view *j); /* NaN: not known */
bool workbench_has(const struct workbench *wb, enum ask ask);
const struct answer *workbench_answer(const struct workbench *wb, enum ask ask);
int workbench_marks(const struct workbench *wb, const struct pane *p, struct mark *out, int max);
void workbench_toggle_edit(struct workbench *wb, const char *text);
void workbench_edited(struct workbench *wb);        /* the list of edits changed */
int workbench_edits_on(const struct workbench *wb); /* how many act */
/* Model, prompt, BOS and the edits that act, as a number: what is asked now holds under it. */
uint64_t workbench_under(const struct workbench *wb);
uint64_t workbench_hash(uint64_t h, const char *text); /* h: of what stands before it */
/* Whether an answer's numbers belong to something else: that question was cancelled, or is asked. */
bool workbench_is_past(const struct workbench *wb, const struct answer *a);
/* Draws text wrapped at words; returns the lines it takes. c NULL: only counts. */
int screen_wrapped(struct canvas *c, struct rect in, struct style style, const char *text);
void search_set(struct workbench *wb, const char *pattern);
void search_next(struct workbench *wb, int direction);
void export_pane(struct workbench *wb, const char *path);
void export_screen(struct workbench *wb, const char *path);

#endif
