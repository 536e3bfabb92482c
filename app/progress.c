#include "app/progress.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "app/signals.h"
#include "model/core/machine.h"

#define FIRST_BAR 0.3  /* seconds of silence before the first bar */
#define NEXT_BAR 0.1   /* between two bars */
#define FIRST_LINE 5.0 /* the same for lines in a log */
#define NEXT_LINE 10.0
#define CELLS 24

void progress_init(struct progress *p, FILE *out, const char *mode)
{
    *p = (struct progress){.out = out, .watch = p->watch, .watch_arg = p->watch_arg};
    if (!strcmp(mode, "none"))
        p->how = PROGRESS_NONE;
    else if (!strcmp(mode, "json"))
        p->how = PROGRESS_JSON;
    else if (!strcmp(mode, "auto") && isatty(fileno(out)))
        p->how = PROGRESS_BAR;
    else
        p->how = PROGRESS_LINES;
}

void progress_begin(struct progress *p, const char *what)
{
    progress_end(p);
    snprintf(p->what, sizeof p->what, "%s", what);
    p->began = machine_seconds();
    p->shown = 0;
}

static void print_time(char *buf, size_t n, double s)
{
    if (!isfinite(s) || s > 1e7)
        snprintf(buf, n, "?");
    else if (s < 60)
        snprintf(buf, n, "%.1f s", s);
    else if (s < 3600)
        snprintf(buf, n, "%d min %02d s", (int)s / 60, (int)s % 60);
    else
        snprintf(buf, n, "%d h %02d min", (int)s / 3600, (int)s / 60 % 60);
}

static void show(struct progress *p, double share, double elapsed)
{
    double eta = share > 0 ? elapsed / share - elapsed : INFINITY;
    char left[32], bar[CELLS + 1];
    print_time(left, sizeof left, eta);
    if (p->how == PROGRESS_JSON) {
        fprintf(p->out, "{\"what\": \"%s\", \"done\": %.4f, \"seconds\": %.2f, ", p->what, share,
            elapsed);
        if (isfinite(eta))
            fprintf(p->out, "\"eta\": %.2f}\n", eta);
        else
            fputs("\"eta\": null}\n", p->out);
    } else if (p->how == PROGRESS_LINES) {
        fprintf(p->out, "%s: %.0f %%, %s left\n", p->what, 100 * share, left);
    } else {
        int full = (int)(share * CELLS);
        memset(bar, '#', (size_t)full);
        memset(bar + full, '.', (size_t)(CELLS - full));
        bar[CELLS] = '\0';
        fprintf(p->out, "\r\033[K%s [%s] %3.0f %%  %s left", p->what, bar, 100 * share, left);
        p->is_open = true;
    }
    fflush(p->out);
}

int progress_quiet(void *arg, double done, double total)
{
    const struct progress *p = arg;
    if (p && p->watch && p->watch(p->watch_arg, p->what, done, total))
        return 1;
    return signals_stopped();
}

int progress_step(void *arg, double done, double total)
{
    struct progress *p = arg;
    if (progress_quiet(arg, done, total))
        return 1;
    if (p->how == PROGRESS_NONE)
        return 0;
    bool is_bar = p->how != PROGRESS_LINES;
    double now = machine_seconds();
    double wait = p->shown > 0 ? is_bar ? NEXT_BAR : NEXT_LINE : is_bar ? FIRST_BAR : FIRST_LINE;
    if (now - (p->shown > 0 ? p->shown : p->began) < wait)
        return 0;
    double share = total > 0 ? done / total : 0;
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    show(p, share, now - p->began);
    p->shown = now;
    return 0;
}

void progress_end(struct progress *p)
{
    if (p->is_open) {
        fputs("\r\033[K", p->out);
        fflush(p->out);
        p->is_open = false;
    }
}
