#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "analysis/report/inside.h"

/* libhdf5 1.10 may crash on damaged files: of the older formats, which carry no checksums, anywhere; of
 * ours where it gives up on a large group whose checksum is wrong. A child goes through a file first; if
 * it does not come back, the file is refused. */

#define SECONDS 20
#define MOST_VALUES ((int64_t)4 << 20) /* of a dataset: what is looked at is small */

static void look_at(struct block *b, void *values)
{
    const struct block_spec *s = block_spec(b);
    struct err e;
    struct cell_value c;
    int64_t seen = 0;
    struct piece p = {0};
    for (int64_t r = 0; r < block_rows(b); r++)
        for (int k = 0; k < s->n_columns && r * s->n_columns < MOST_VALUES; k++)
            if (block_cell(&c, b, r, k, &e))
                return;
    int64_t most = b->is_plain ? 1 : MOST_VALUES;
    while (!s->n_columns && seen < most && piece_next(&p, s)) {
        if (block_read(values, b, p.start, p.count, &e))
            return;
        seen += p.n;
    }
}

static void look_at_report(const char *path)
{
    struct report *r;
    struct err e;
    void *values = malloc((size_t)PIECE * 8);
    if (values && !report_open_trusted(&r, path, &e))
        for (int i = 0; i < report_runs(r); i++)
            for (int k = 0; k < run_blocks(report_run(r, i)); k++)
                look_at(run_block_at(report_run(r, i), k), values);
}

/* Everything but numbers, which have checksums of their own: names, labels, texts. */
void report_look_at_names(const char *path)
{
    struct report *r;
    struct err e;
    if (report_open_trusted(&r, path, &e))
        return;
    for (int i = 0; i < report_inputs(r); i++) {
        struct report_input in;
        if (report_input(&in, r, i, &e))
            return;
    }
    for (int i = 0; i < report_runs(r); i++)
        for (int k = 0; k < run_blocks(report_run(r, i)); k++) {
            struct block *b = run_block_at(report_run(r, i), k);
            if (block_spec(b)->n_columns)
                look_at(b, NULL);
        }
}

/* In the child: answers with one byte if it lives, and ends without running what the parent has set
 * up for its own end. */
static void go_through(const char *path, void (*look)(const char *path), int answer)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM, SIGTERM, SIGINT};
    struct rlimit none = {0, 0};
    int null = open("/dev/null", O_RDWR);
    for (int i = 0; i < 3 && null >= 0; i++)
        dup2(null, i);
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
        signal(fatal[i], SIG_DFL);
    setrlimit(RLIMIT_CORE, &none);
    alarm(SECONDS);
    h5_after_fork();
    look(path);
    (void)!write(answer, "", 1);
    kill(getpid(), SIGKILL);
}

int report_probe(const char *path, void (*look)(const char *path), struct err *e)
{
    int ends[2], status = 0;
    char byte;
    ssize_t got;
    pid_t child;
    if (pipe2(ends, O_CLOEXEC))
        return 0;
    {
        H5_SCOPE; /* no other thread may be inside libhdf5 while its state is copied */
        child = fork();
    }
    if (!child)
        go_through(path, look ? look : look_at_report, ends[1]);
    close(ends[1]);
    do
        got = child > 0 ? read(ends[0], &byte, 1) : 1;
    while (got < 0 && errno == EINTR);
    close(ends[0]);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (got == 1)
        return 0;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        return err_set(
            e, ERR_INPUT, "%s takes more than %d seconds to look through", path, SECONDS);
    return err_set(e, ERR_INPUT, "%s is damaged: libhdf5 cannot read it", path);
}
