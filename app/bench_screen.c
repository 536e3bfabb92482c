#include "app/bench_screen.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "app/term.h"
#include "app/workbench.h"
#include "model/core/json.h"
#include "model/core/machine.h"
#include "model/core/rng.h"

/* The workbench in a terminal of its own, typed at by another thread: from the key's byte to the first
 * byte that comes back, and how many come. Frames are drawn by the terminal's own code. */

#define WIDTH 200
#define HEIGHT 60
#define KEYS 300
#define FRAMES 60
#define WAIT 2.0 /* seconds for an answer to a key; longer ones count as this */

struct series {
    const char *name, *help;
    double values[KEYS]; /* seconds */
    int n;
    double bytes; /* per key or frame */
};

enum { KEY_IDLE, KEY_JOB, FRAME_QUARTER, FRAME_FULL, SERIES };

struct stage {
    int master, slave, saved_in, saved_out;
    atomic_long bytes; /* that came back */
    atomic_bool is_over;
    struct series series[SERIES];
    const char *job;
};

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const struct series *s, double q)
{
    int at = (int)(q * (s->n - 1) + 0.5);
    return s->n ? s->values[at] : 0;
}

/* Standard input and output become a terminal of 200 x 60. */
static int stage_open(struct stage *st, struct err *e)
{
    struct winsize size = {.ws_row = HEIGHT, .ws_col = WIDTH};
    st->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    const char *name = st->master >= 0 && !grantpt(st->master) && !unlockpt(st->master)
                           ? ptsname(st->master)
                           : NULL;
    st->slave = name ? open(name, O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;
    if (st->slave < 0 || ioctl(st->slave, TIOCSWINSZ, &size)) {
        if (st->master >= 0)
            close(st->master);
        return err_set(
            e, ERR_LIMIT, "no pseudo-terminal for the measurement (%s)", strerror(errno));
    }
    fflush(stdout);
    st->saved_in = dup(STDIN_FILENO);
    st->saved_out = dup(STDOUT_FILENO);
    dup2(st->slave, STDIN_FILENO);
    dup2(st->slave, STDOUT_FILENO);
    setenv("TERM", "xterm-256color", 1);
    unsetenv("LINES");
    unsetenv("COLUMNS");
    return 0;
}

static void stage_close(struct stage *st)
{
    fflush(stdout);
    dup2(st->saved_in, STDIN_FILENO);
    dup2(st->saved_out, STDOUT_FILENO);
    close(st->saved_in);
    close(st->saved_out);
    close(st->slave);
    close(st->master);
}

/* Reads what comes within the time; the bytes, 0: nothing. */
static long take(struct stage *st, double seconds)
{
    char bytes[1 << 16];
    struct pollfd p = {st->master, POLLIN, 0};
    if (poll(&p, 1, (int)(seconds * 1e3)) <= 0)
        return 0;
    ssize_t n = read(st->master, bytes, sizeof bytes);
    if (n > 0)
        atomic_fetch_add(&st->bytes, n);
    return n > 0 ? n : 0;
}

/* Until nothing has come for a while. */
static void settle(struct stage *st, double quiet)
{
    while (take(st, quiet) > 0) {
    }
}

static void type(struct stage *st, const char *text)
{
    for (; *text; text++) {
        if (write(st->master, text, 1) != 1)
            return;
        take(st, 0); /* two full queues would wait for each other */
    }
}

/* A key a tick: the cursor along the prompt and through the layers; each changes the screen. */
static void type_keys(struct stage *st, struct series *s, double tick)
{
    static const char keys[] = "hhhhlllljjkk";
    long before = atomic_load(&st->bytes);
    for (int i = 0; i < KEYS; i++) {
        char key = keys[i % (int)(sizeof keys - 1)];
        take(st, 0);
        double t0 = machine_seconds();
        if (write(st->master, &key, 1) != 1)
            break;
        long got = take(st, WAIT);
        double t = machine_seconds() - t0;
        s->values[s->n++] = got ? t : WAIT;
        while (machine_seconds() - t0 < tick)
            take(st, tick - (machine_seconds() - t0));
    }
    s->bytes = (double)(atomic_load(&st->bytes) - before) / s->n;
}

/* The person: waits for the first screen, types, starts a job, types on, leaves. */
static void *person(void *arg)
{
    struct stage *st = arg;
    settle(st, 1.5);
    type_keys(st, &st->series[KEY_IDLE], 0.05);
    settle(st, 0.5);
    for (int i = 0; i < 8; i++) { /* enough to last */
        type(st, ":");
        type(st, st->job);
        type(st, "\r");
        take(st, 0.2);
    }
    take(st, 0.5);
    type_keys(st, &st->series[KEY_JOB], 0.05);
    type(st, "\x11"); /* Ctrl-Q */
    while (!atomic_load(&st->is_over))
        take(st, 0.05);
    return NULL;
}

static void *drain(void *arg)
{
    struct stage *st = arg;
    while (!atomic_load(&st->is_over))
        take(st, 0.05);
    settle(st, 0.05);
    return NULL;
}

/* Half blocks in colours of their own: the most that a cell can cost. */
static void fill(struct canvas *c, struct rng *r, int x0, int w)
{
    for (int y = 0; y < c->h; y++)
        for (int x = x0; x < x0 + w && x < c->w; x++)
            canvas_text(c, x, y, 1,
                (struct style){.fg = COLOUR_RGB((unsigned)rng_below(r, 1 << 24)),
                    .bg = COLOUR_RGB((unsigned)rng_below(r, 1 << 24))},
                "▀");
}

static int draw_frames(struct stage *st, struct err *e)
{
    struct term *t;
    struct canvas c;
    struct rng r;
    int rc = term_open(&t, &(struct term_opts){.colour = "256", .no_mouse = true}, e);
    if (rc)
        return rc;
    rc = canvas_init(&c, WIDTH, HEIGHT, e);
    c.mode = term_colours(t);
    c.glyphs = GLYPHS_BRAILLE;
    c.theme = &themes[0];
    rng_init(&r, 1, 0);
    for (int kind = FRAME_QUARTER; kind <= FRAME_FULL && !rc; kind++) {
        struct series *s = &st->series[kind];
        fill(&c, &r, 0, WIDTH);
        term_draw(t, &c, -1, -1);
        long before = atomic_load(&st->bytes);
        for (int i = 0; i < FRAMES; i++) {
            int part = kind == FRAME_FULL ? WIDTH : WIDTH / 4;
            fill(&c, &r, i * part % WIDTH, part);
            double t0 = machine_seconds();
            term_draw(t, &c, -1, -1);
            s->values[s->n++] = machine_seconds() - t0;
        }
        s->bytes = (double)(atomic_load(&st->bytes) - before) / FRAMES;
    }
    canvas_release(&c);
    term_close(&t);
    return rc;
}

static void print(FILE *out, struct stage *st, bool json, const char *model)
{
    if (!json)
        fprintf(out, "the workbench at %d x %d, 256 colours, model %s\n%-16s %10s %10s %10s %12s\n",
            WIDTH, HEIGHT, model, "name", "p50", "p99", "max", "bytes");
    for (int i = 0; i < SERIES; i++) {
        struct series *s = &st->series[i];
        qsort(s->values, (size_t)s->n, sizeof *s->values, by_size);
        double p50 = 1e3 * quantile(s, 0.5), p99 = 1e3 * quantile(s, 0.99),
               most = 1e3 * quantile(s, 1);
        if (json)
            fprintf(out,
                "%s{\"name\": \"%s\", \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, "
                "\"bytes\": %.0f, \"runs\": %d}%s\n",
                i ? " " : "[", s->name, p50, p99, most, s->bytes, s->n, i + 1 < SERIES ? "," : "]");
        else
            fprintf(out, "%-16s %7.2f ms %7.2f ms %7.2f ms %8.0f B   %s\n", s->name, p50, p99, most,
                s->bytes, s->help);
    }
}

/* What is typed and computed: words where there is a tokenizer, else ids. */
#define IDS 15
static int choose_work(struct stage *st, const char **prompt, struct session *s,
    const struct command *c, struct arena *a, struct err *e)
{
    struct model *m;
    int rc = session_model(&m, s, c, e);
    const char *ids = rc ? NULL : "";
    if (rc)
        return rc;
    *prompt = "When Mara and Tobin went to the harbour, Mara gave the lantern to";
    st->job = "run attention,lens,dla --dataset world:400";
    if (m->tokenizer)
        return 0;
    for (int i = 0; i < IDS && ids; i++)
        ids = arena_printf(a, e, "%s%s%lld", ids, i ? "," : "", (long long)(i * 37 % m->cfg.vocab));
    *prompt = ids;
    st->job = "run attention,lens,dla";
    for (int i = 0; i < 24 && st->job && ids; i++)
        st->job = arena_printf(a, e, "%s --tokens %s", st->job, ids);
    return st->job && ids ? 0 : ERR_LIMIT;
}

int bench_screen(struct session *s, const struct command *c, struct err *e)
{
    struct stage st = {.series = {{.name = "key", .help = "a key, nothing else to do"},
                           {.name = "key_job", .help = "a key while jobs run"},
                           {.name = "frame_quarter", .help = "a quarter of the cells changed"},
                           {.name = "frame_full", .help = "every cell changed"}}};
    static char workbench[] = "--no-tour", record[] = "--no-record", flag[] = "-m", p[] = "-p";
    const char *prompt = NULL;
    const char *model = args_text(&c->args, "model");
    struct arena arena = {0};
    struct command wb;
    pthread_t reader;
    char *name = arena_strdup(&arena, model, e);
    int rc = name ? choose_work(&st, &prompt, s, c, &arena, e) : e->code;
    char *text = rc ? NULL : arena_strdup(&arena, prompt, e);
    char *words[] = {workbench, record, flag, name, p, text};
    if (!rc)
        rc = text ? command_parse(&wb, words, 6, &arena, e) : e->code;
    if (!rc)
        rc = stage_open(&st, e);
    if (rc) {
        arena_release(&arena);
        return rc;
    }
    if (pthread_create(&reader, NULL, drain, &st))
        rc = err_set(e, ERR_LIMIT, "no thread for the terminal's other side");
    if (!rc) {
        rc = draw_frames(&st, e);
        atomic_store(&st.is_over, true);
        pthread_join(reader, NULL);
    }
    atomic_store(&st.is_over, false);
    if (!rc && pthread_create(&reader, NULL, person, &st))
        rc = err_set(e, ERR_LIMIT, "no thread for the person at the keys");
    else if (!rc) {
        rc = workbench_run(s, &wb, e);
        atomic_store(&st.is_over, true);
        pthread_join(reader, NULL);
    }
    stage_close(&st);
    if (!rc)
        print(s->out, &st, args_bool(&c->args, "json"), model);
    arena_release(&arena);
    return rc;
}
