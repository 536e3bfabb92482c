/* How long a frame of 200 x 60 takes of one processor: drawing into the canvas, and writing it as a terminal gets it.
 * Prints medians in milliseconds; a program to run by hand. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "views/fields.h"
#include "views/view.h"

#define W 200
#define H 60
#define FRAMES 25

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return v[n / 2];
}

struct scene {
    const char *name, *view;
    int64_t rows, cols, maps;
    bool is_signed, sorted;
    enum look look;
};

static void run(const struct scene *s, const double *values, enum colour_mode mode)
{
    struct field_values v = {values, 1};
    struct field f = {.name = s->name,
        .look = s->look,
        .is_signed = s->is_signed,
        .rank = s->maps   ? 3
                : s->cols ? 2
                          : 1};
    const struct axis rows = {"layer", AXIS_LAYER, s->rows, NULL, NULL, NULL};
    const struct axis cols = {"pos", AXIS_POS, s->cols, NULL, NULL, NULL};
    const struct axis maps = {"head", AXIS_HEAD, s->maps, NULL, NULL, NULL};
    if (s->maps)
        f.axes[0] = maps;
    f.axes[s->maps ? 1 : 0] = rows;
    if (s->cols)
        f.axes[s->maps ? 2 : 1] = cols;
    field_from_values(&f, &v);
    struct view_data d = {.fields = &f, .n = 1, .is_focused = true};
    struct view_state st = {.sorted = s->sorted};
    struct canvas c;
    struct arena frame = {0};
    struct err e;
    struct buf out = {0};
    double draw[FRAMES], write[FRAMES];
    const struct view *view = view_find(s->view);
    if (canvas_init(&c, W, H, &e))
        exit(1);
    c.mode = mode;
    for (int i = 0; i < FRAMES; i++) {
        char readout[VIEW_READOUT];
        struct screen screen = {&c, {0, 0, W, H}, &frame};
        double t = now();
        canvas_clear(&c);
        if (view->draw(&screen, &d, &st, readout, &e))
            exit(1);
        view->move(&d, &st, i % 2 ? MOVE_LEFT : MOVE_RIGHT, 10);
        view->move(&d, &st, MOVE_DOWN, 10);
        arena_release(&frame);
        draw[i] = now() - t;
        out.n = 0;
        t = now();
        canvas_write(&out, &c, CANVAS_ANSI);
        write[i] = now() - t;
    }
    printf("%-34s %8.2f %8.2f %8zu\n", s->name, median(draw, FRAMES), median(write, FRAMES), out.n);
    buf_release(&out);
    canvas_release(&c);
}

int main(void)
{
    static const struct scene scenes[] = {
        {"heatmap, half blocks, 1024 x 1024", "heatmap", 1024, 1024, 0, false, false, LOOK_HEATMAP},
        {"heatmap, signed cells", "heatmap", 512, 512, 0, true, false, LOOK_HEATMAP},
        {"heatmap with numbers, 56 x 32", "heatmap", 56, 32, 0, true, false, LOOK_HEATMAP},
        {"multiples, 12 of 64 x 64", "multiples", 64, 64, 12, false, false, LOOK_HEATMAP},
        {"table, 50,000 rows sorted", "table", 50000, 20, 0, false, true, LOOK_TABLE},
        {"bars, 1,000,000 sorted", "bars", 1000000, 0, 0, true, true, LOOK_BARS},
        {"lines, 6 of 100,000", "lines", 6, 100000, 0, true, false, LOOK_LINES},
        {"tokens, 1,024", "tokens", 1024, 0, 0, false, false, LOOK_TOKENS},
        {"contour, 101 x 101", "contour", 101, 101, 0, false, false, LOOK_CONTOUR},
    };
    int64_t n = 1 << 21;
    double *values = malloc((size_t)n * sizeof *values);
    if (!values)
        return 1;
    for (int64_t i = 0; i < n; i++)
        values[i] = sin((double)(i * i % 7919) / 777) * (double)(1 + i % 13);
    printf("%-34s %8s %8s %8s\n", "200 x 60, 256 colours", "draw ms", "write ms", "bytes");
    for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++)
        run(&scenes[i], values, COLOURS_256);
    free(values);
    return 0;
}
