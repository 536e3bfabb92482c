#ifndef SONDE_APP_ENGINE_H
#define SONDE_APP_ENGINE_H

#include "analysis/analysis.h"
#include "app/jobs.h"

/* What the workbench asks of a model, answered on a worker thread. The screen thread asks, takes
 * answers, and never waits. Commands are jobs: they run in the order of the queue, and wherever one of
 * them tells its progress (a layer of a pass, a slice of a sweep) the questions of the screen are
 * answered first, each kind once; then the job has the next slice. */
struct session;
struct command;
struct log;

enum ask {
    ASK_MODEL,   /* open it */
    ASK_PROMPT,  /* tokens, lens, attention */
    ASK_DLA,     /* at one position, of one token */
    ASK_NEURONS, /* the same, one layer's MLP neuron by neuron */
    ASK_DOSSIER, /* of one thing, its report */
    ASK_EFFECT,  /* the same with what zero-ablation does: more passes */
    ASK_OTHER,   /* as ASK_PROMPT, of the prompt that is compared with */
    ASK_PAIR,    /* of two prompts, their tokens and the metric of each */
    ASK_COMMAND, /* a line of the command language: a job; the answer is its text or its report */
    ASK_COUNT
};

struct question {
    enum ask ask;
    const char *text; /* prompt, command line, or model name */
    const char *name; /* of a command, as typed; NULL: its text */
    bool bos;
    const char *const *edits; /* as typed; those switched off left out */
    int n_edits;
    int64_t pos;                           /* DLA: >= 0 */
    int64_t target, versus;                /* token ids; -1: the model's best, none */
    const char *target_name, *versus_name; /* the same as typed; they win; NULL: not typed */
    int layer;                             /* neurons */
    const char *of;                        /* dossier: L4H2, L3N512, L2, @13; pair: its metric */
    uint64_t serial, under;                /* come back with the answer */
};

/* What the screen says of a model: copies, since the worker may open another one. */
struct facts {
    bool is_open, has_bos;
    char name[128], note[256];
    struct config cfg;
};

/* Two prompts: 0 is clean, 1 corrupt. */
struct paired {
    int64_t n[2];
    const int32_t *ids[2];
    const char *const *tokens[2];
    const char *text[2];         /* NULL: given as ids */
    const char *answer, *wrong;  /* as shown; several: the first and how many more */
    int32_t answer_id, wrong_id; /* the first of each; -1: none */
    const char *flags; /* --clean .. --corrupt .. --answer .. --wrong .. as run takes them */
    const int64_t (*align)[4]; /* that came with it */
    int n_align;
    double metric[2];
    const char *metric_name; /* which one they are */
};

/* Immutable once taken. Fields with fetch NULL are absent. */
struct answer {
    enum ask ask;
    uint64_t serial;
    uint64_t under; /* what the asker says the numbers hold under; 0: nothing */
    struct err e;   /* code 0: fine */
    double seconds;
    struct facts facts;
    const struct model *model; /* the worker's */
    bool is_edited;            /* the question had edits */
    /* The input: pos labels, ids. */
    int64_t n;
    const char *const *tokens;
    const int32_t *ids;
    int64_t target, versus, pos;
    int layer; /* neurons */
    const char *target_text, *versus_text;
    struct field top_token, top_logprob, logprob, rank, entropy, kl, pattern, contribution, ledger;
    const struct paired *pair;
    const char *note; /* a line about the numbers, NULL: none */
    const char *text; /* of a command */
    uint64_t job;     /* of a command: its number in the queue */
    bool is_live;     /* a command has begun to fill its report; the answer at its end follows */
    /* Labels of the tokens in top_token: [layer + 1, pos, k]. */
    const char *const *top_text;
    struct report *report;
    struct held_report *held; /* keeps `report`: others may hold it longer than the answer lives */
    struct arena arena;
};
void answer_release(struct answer **a);

struct engine_state {
    bool is_busy; /* with a question of the screen */
    enum ask ask;
    double done, total, began; /* progress; seconds as of machine_seconds */
    bool has_job;              /* a command runs; `job` says how far it is */
    struct job_view job;
    int n_waiting; /* jobs behind it */
};

/* An engine behind functions, so that tests can bring their own. */
struct engine {
    void (*ask)(struct engine *g, const struct question *q); /* replaces an older one of its kind */
    void (*cancel)(struct engine *g); /* the questions; if there are none, the job that runs */
    struct answer *(*take)(struct engine *g); /* the caller's; NULL: none yet */
    void (*state)(const struct engine *g, struct engine_state *out);
    int wake_fd;       /* readable when something happened; -1: none */
    struct jobs *jobs; /* NULL: commands are answered at once */
    struct log *log;   /* where what was computed is recorded; NULL: nowhere */
};

/* The real one: opens models through the session, which nobody else may use meanwhile. */
int engine_create(struct engine **out, struct session *s, const struct command *c, struct err *e);
/* Cancels, waits for the worker's next block boundary and frees everything. */
void engine_release(struct engine **g);

#endif
