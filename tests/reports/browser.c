/* The browser without a terminal: browser FILE lists every dataset and what its pane reads, a line
 * each; browser --time FILE PATH tells how long the first drawing and the slowest key took, browser
 * --jobs FILE PATH how long sorting by a column and searching the whole of it take; browser --keys
 * FILE PATH KEY... what the pane reads after each key, 'text being typed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/browse.h"
#include "app/keys.h"
#include "app/saver.h"
#include "model/core/machine.h"

static void on_ask(struct engine *g, const struct question *q)
{
    (void)g;
    (void)q;
}

static void on_cancel(struct engine *g)
{
    (void)g;
}

static struct answer *on_take(struct engine *g)
{
    (void)g;
    return NULL;
}

static void on_state(const struct engine *g, struct engine_state *out)
{
    (void)g;
    *out = (struct engine_state){.is_busy = false};
}

static struct engine nobody = {
    .ask = on_ask, .cancel = on_cancel, .take = on_take, .state = on_state, .wake_fd = -1};

static void settle(struct workbench *wb, struct canvas *c)
{
    for (int i = 0; i < 3; i++) {
        if (!io_settle(wb->browse->io, 60))
            printf("still busy after a minute\n");
        workbench_poll(wb);
        workbench_draw(wb, c);
    }
}

static void print_flat(const char *text)
{
    for (; *text; text++)
        putchar(*text == '\n' || *text == '\t' ? ' ' : *text);
}

static void list(struct workbench *wb, struct canvas *c)
{
    struct browse *b = wb->browse;
    struct doc_view v;
    if (!io_doc(&v, b->io, 0) || v.e.code) {
        printf("error\t%s\n", v.e.msg);
        return;
    }
    for (int i = 0; i < b->docs[0].n; i++) {
        const struct node *n = b->docs[0].nodes[i];
        static const char *const kinds[] = {"group", "numbers", "texts", "table", "strange"};
        print_flat(n->path);
        printf("\t%s\t", kinds[n->kind]);
        for (int k = 0; k < n->rank; k++)
            printf("%s%lld", k ? "x" : "", (long long)n->axes[k].size);
        putchar('\t');
        if (n->why || n->kind == NODE_GROUP) {
            print_flat(n->why ? n->why : "");
        }
        if (n->kind != NODE_STRANGE && n->kind != NODE_GROUP) {
            browse_enter(wb, 0, i);
            settle(wb, c);
            print_flat(wb->panes[PANE_BLOCK].readout);
        }
        putchar('\n');
    }
}

/* The drawing is whole when nothing of it is missing. */
static void time_it(struct workbench *wb, struct canvas *c, const char *file, const char *path)
{
    static const char *const keys[] = {"G", "$", "g", "0", "PgDn", "PgDn", "}", "}", "j", "l", "o",
        "o", "V", "V", "V", "V", "t", "G", "<", "<", ">", ">", "]", "I", "j", "Esc"};
    double began = machine_seconds(), slowest = 0, first;
    const char *slow = "";
    browse_open(wb, file, path);
    workbench_draw(wb, c);
    double frame = machine_seconds() - began;
    while (!wb->browse->now || !wb->browse->has_seen || wb->browse->is_missing) {
        io_settle(wb->browse->io, 0.002);
        workbench_poll(wb);
        workbench_draw(wb, c);
        if (machine_seconds() - began > 60)
            break;
    }
    first = machine_seconds() - began;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct key k = {0};
        snprintf(k.name, sizeof k.name, "%s", keys[i]);
        double at = machine_seconds();
        workbench_key(wb, &k);
        workbench_poll(wb);
        workbench_draw(wb, c);
        double took = machine_seconds() - at;
        if (took > slowest) {
            slowest = took;
            slow = keys[i];
        }
    }
    printf("frame %.1f ms, values %.1f ms, slowest key %.1f ms (%s), %.1f MB of tiles\n",
        frame * 1e3, first * 1e3, slowest * 1e3, slow, (double)io_bytes(wb->browse->io) / 1e6);
}

/* From the key to the answer. */
static void time_job(struct workbench *wb, struct canvas *c, const char *what)
{
    struct io_progress p;
    double began = machine_seconds(), most = 0;
    if (!strcmp(what, "sort"))
        act_sort_rows(wb, &(struct key){.name = "s"});
    else
        browse_find(wb, what, 1);
    do {
        double at = machine_seconds();
        workbench_draw(wb, c);
        most = machine_seconds() - at > most ? machine_seconds() - at : most;
        io_settle(wb->browse->io, 0.02);
        io_progress(&p, wb->browse->io);
    } while (p.is_running);
    printf("%s: %.3f s, slowest drawing %.1f ms%s%s\n", what, machine_seconds() - began, most * 1e3,
        p.e.code  ? ", "
        : p.found ? ", found"
                  : "",
        p.e.msg);
    settle(wb, c);
}

static void time_jobs(struct workbench *wb, struct canvas *c, const char *file, const char *path)
{
    browse_open(wb, file, path);
    settle(wb, c);
    for (int i = 0; i < 3; i++)
        workbench_key(wb, &(struct key){.name = "l", .text = "l"});
    static const char *const jobs[] = {"sort", "sort", "sort", "> 1e30", "zebra"};
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++)
        time_job(wb, c, jobs[i]);
}

static void press(struct workbench *wb, struct canvas *c, const char *key)
{
    struct key k = {0};
    snprintf(k.name, sizeof k.name, "%s", key);
    for (int i = 1; *key == '\'' && key[i]; i++) {
        k = (struct key){.name = {key[i]}, .text = {key[i]}};
        workbench_key(wb, &k);
    }
    if (*key != '\'')
        workbench_key(wb, &k);
    settle(wb, c);
}

int main(int argc, char **argv)
{
    struct workbench wb;
    struct canvas c;
    struct err e = {0};
    bool is_timed = argc == 4 && !strcmp(argv[1], "--time");
    bool is_jobs = argc == 4 && !strcmp(argv[1], "--jobs");
    bool has_keys = argc > 4 && !strcmp(argv[1], "--keys");
    if (argc != 2 && !is_timed && !is_jobs && !has_keys)
        return 2;
    if (canvas_init(&c, 120, 40, &e) || workbench_init(&wb, &nobody, "", true, &e))
        return 1;
    c.glyphs = GLYPHS_BRAILLE;
    c.mode = COLOURS_256;
    if (is_timed) {
        time_it(&wb, &c, argv[2], argv[3]);
    } else if (is_jobs) {
        time_jobs(&wb, &c, argv[2], argv[3]);
    } else if (has_keys) {
        browse_open(&wb, argv[2], argv[3]);
        wb.browse->wait = 60;
        settle(&wb, &c);
        for (int i = 4; i < argc; i++) {
            press(&wb, &c, argv[i]);
            while (saver_is_busy(&wb))
                workbench_poll(&wb);
            printf("%s\n", wb.panes[PANE_BLOCK].readout);
        }
    } else {
        browse_open(&wb, argv[1], NULL);
        wb.browse->wait = 60;
        settle(&wb, &c);
        list(&wb, &c);
    }
    workbench_release(&wb);
    canvas_release(&c);
    return 0;
}
