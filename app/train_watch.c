#include "app/train_watch.h"

#include <math.h>
#include <string.h>

#include "app/signals.h"
#include "model/core/machine.h"

#define CURVE 24
#define BAR_WAIT 0.2
#define LINE_WAIT 10.0

/* The history in CURVE means, drawn from the lowest to the highest of them. */
static void draw_curve(char *out, size_t n, const struct train_progress *p, bool is_ascii)
{
    static const char *const blocks[8] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const ascii[8] = {"_", ".", ",", "-", "~", "=", "+", "#"};
    double mean[CURVE], low = INFINITY, high = -INFINITY;
    int64_t cells = p->n < CURVE ? p->n : CURVE;
    for (int64_t i = 0; i < cells; i++) {
        int64_t from = p->n * i / cells, to = p->n * (i + 1) / cells;
        mean[i] = 0;
        for (int64_t k = from; k < to; k++)
            mean[i] += p->history[k].loss / (double)(to - from);
        low = mean[i] < low ? mean[i] : low;
        high = mean[i] > high ? mean[i] : high;
    }
    *out = '\0';
    for (int64_t i = 0; i < cells; i++) {
        int level = high > low ? (int)(7.999 * (mean[i] - low) / (high - low)) : 0;
        strncat(out, (is_ascii ? ascii : blocks)[level], n - strlen(out) - 1);
    }
}

static void time_text(char *out, size_t n, double s)
{
    if (s < 60)
        snprintf(out, n, "%.0f s", s);
    else if (s < 3600)
        snprintf(out, n, "%d min %02d s", (int)s / 60, (int)s % 60);
    else
        snprintf(out, n, "%d h %02d min", (int)s / 3600, (int)s / 60 % 60);
}

static void number(FILE *f, const char *name, double v)
{
    if (isfinite(v))
        fprintf(f, ", \"%s\": %.9g", name, v);
    else
        fprintf(f, ", \"%s\": null", name);
}

static void show_json(FILE *f, const struct train_progress *p)
{
    fprintf(f, "{\"what\": \"train\", \"step\": %lld, \"steps\": %lld, \"tokens\": %lld",
        (long long)p->now.step, (long long)p->steps, (long long)p->now.tokens);
    number(f, "loss", p->now.loss);
    number(f, "held_out", p->now.held_out);
    number(f, "lr", p->now.lr);
    number(f, "grad_norm", p->now.grad_norm);
    number(f, "tokens_per_s", p->tokens_per_s);
    number(f, "eta", p->eta_s);
    fputs("}\n", f);
}

static void show_text(const struct train_watch *w, const struct train_progress *p)
{
    char curve[4 * CURVE + 1], eta[32], held[32] = "";
    FILE *f = w->progress->out;
    draw_curve(curve, sizeof curve, p, w->is_ascii);
    time_text(eta, sizeof eta, p->eta_s);
    if (isfinite(p->held_out))
        snprintf(held, sizeof held, "  held out %.4f", p->held_out);
    bool is_bar = w->progress->how == PROGRESS_BAR;
    fprintf(f, "%sstep %lld/%lld  loss %.4f %s%s  lr %.2g  |g| %.2g  %.0f tokens/s  %s left%s",
        is_bar ? "\r\033[K" : "", (long long)p->now.step, (long long)p->steps, p->now.loss, curve,
        held, p->now.lr, p->now.grad_norm, p->tokens_per_s, eta, is_bar ? "" : "\n");
    w->progress->is_open = is_bar;
}

int train_watch_step(void *arg, const struct train_progress *p)
{
    struct train_watch *w = arg;
    int stop = progress_quiet(w->progress, (double)p->now.step, (double)p->steps);
    if (w->progress->how == PROGRESS_NONE)
        return stop;
    double now = machine_seconds();
    double wait = w->progress->how == PROGRESS_LINES ? LINE_WAIT : BAR_WAIT;
    if (now - w->shown < wait && p->now.step < p->steps && !stop)
        return stop;
    w->shown = now;
    if (w->progress->how == PROGRESS_JSON)
        show_json(w->progress->out, p);
    else
        show_text(w, p);
    fflush(w->progress->out);
    return stop;
}
