/* How long the screen's questions take while a job runs, and without one: medians and the slowest.
 *
 *     bench_jobs [MODEL] [QUESTIONS]      default: tiny 40 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/embedded.h"
#include "app/engine.h"
#include "app/session.h"
#include "model/core/machine.h"
#include "views/buf.h"

#define TEXT "When Mara and Tobin went to the harbour, Mara gave the lantern to"

static struct answer *wait_for(struct engine *g, uint64_t serial)
{
    for (;;) {
        struct answer *a = g->take(g);
        if (a && a->serial == serial && !a->is_live)
            return a;
        answer_release(&a);
        struct pollfd p = {g->wake_fd, POLLIN, 0};
        poll(&p, 1, 1);
    }
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void ask_many(struct engine *g, int n, uint64_t *serial, const char *what)
{
    double *ms = calloc((size_t)n, sizeof *ms);
    for (int i = 0; ms && i < n; i++) {
        struct question q = {.ask = i % 2 ? ASK_DLA : ASK_PROMPT,
            .text = TEXT,
            .bos = true,
            .pos = 5 + i % 9,
            .target = -1,
            .versus = -1,
            .serial = ++*serial};
        double t = machine_seconds();
        g->ask(g, &q);
        struct answer *a = wait_for(g, q.serial);
        ms[i] = 1e3 * (machine_seconds() - t);
        if (a->e.code)
            fprintf(stderr, "%s\n", a->e.msg);
        answer_release(&a);
    }
    if (ms) {
        qsort(ms, (size_t)n, sizeof *ms, by_size);
        printf("%-18s median %7.1f ms, 95 %% %7.1f ms, slowest %7.1f ms\n", what, ms[n / 2],
            ms[n * 95 / 100], ms[n - 1]);
    }
    free(ms);
}

int main(int argc, char **argv)
{
    struct session s;
    struct command c;
    struct arena arena = {0};
    struct engine *g = NULL;
    struct err e = {0};
    struct buf line = {0};
    uint64_t serial = 1;
    const char *model = argc > 1 ? argv[1] : "tiny";
    int n = argc > 2 ? atoi(argv[2]) : 40;
    char flag[] = "-m", *words[2] = {flag, strdup(model)};
    embedded_register();
    session_init(&s);
    if (command_parse(&c, words, 2, &arena, &e) || engine_create(&g, &s, &c, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    g->ask(g, &(struct question){.ask = ASK_MODEL, .text = model, .serial = serial});
    struct answer *a = wait_for(g, serial);
    bool is_open = a->facts.is_open;
    answer_release(&a);
    if (is_open) {
        ask_many(g, 4, &serial, "warming up");
        ask_many(g, n, &serial, "no job");
        buf_puts(&line, "run lens -m ");
        buf_puts(&line, model);
        for (int i = 0; i < 4000; i++)
            buf_puts(&line, " -p '" TEXT " " TEXT " " TEXT "'");
        g->ask(g, &(struct question){
                      .ask = ASK_COMMAND, .text = line.data, .name = "job", .serial = 9999999});
        struct engine_state st = {0};
        for (int i = 0; i < 2000 && !(st.has_job && st.job.done > 0); i++) {
            poll(NULL, 0, 5);
            g->state(g, &st);
        }
        ask_many(g, n, &serial, "while a job runs");
        g->state(g, &st);
        printf("the job went on to %.1f %%\n", 100 * st.job.done / st.job.total);
    }
    engine_release(&g);
    session_release(&s);
    arena_release(&arena);
    buf_release(&line);
    free(words[1]);
    return is_open ? 0 : 1;
}
