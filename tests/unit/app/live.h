#ifndef SONDE_TESTS_LIVE_H
#define SONDE_TESTS_LIVE_H

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "app/embedded.h"
#include "app/session.h"
#include "app/workbench.h"
#include "model/core/machine.h"

/* The workbench on key scripts, with the real engine on the embedded model: one for all tests of a
 * program, by setup and teardown of the group. */

#define TEXT "When Mara and Tobin went to the harbour, Mara gave the lantern to"

static struct bench {
    struct session s;
    struct command c;
    struct arena arena;
    struct engine *g;
    struct workbench wb;
    struct canvas canvas;
    struct err e;
} b;

static bool is_idle(void)
{
    struct engine_state s;
    b.g->state(b.g, &s);
    return !s.is_busy && !s.has_job && !s.n_waiting;
}

static void settle(void)
{
    double until = machine_seconds() + 60;
    do {
        workbench_poll(&b.wb);
        struct pollfd p = {b.g->wake_fd, POLLIN, 0};
        poll(&p, 1, 5);
        assert_true(machine_seconds() < until);
    } while (!is_idle() || workbench_poll(&b.wb));
    workbench_draw(&b.wb, &b.canvas);
}

static void press(const char *name)
{
    struct key k = {0};
    snprintf(k.name, sizeof k.name, "%.20s", name);
    k.text[0] = !name[1] ? name[0] : '\0';
    workbench_key(&b.wb, &k);
    settle();
}

static int setup(void **state)
{
    (void)state;
    session_init(&b.s);
    assert_int_equal(command_parse(&b.c, NULL, 0, &b.arena, &b.e), 0);
    assert_int_equal(engine_create(&b.g, &b.s, &b.c, &b.e), 0);
    assert_int_equal(workbench_init(&b.wb, b.g, TEXT, true, &b.e), 0);
    assert_int_equal(canvas_init(&b.canvas, 160, 60, &b.e), 0);
    b.canvas.mode = COLOURS_NONE;
    b.canvas.glyphs = GLYPHS_BLOCK;
    workbench_open(&b.wb, "tiny");
    settle();
    assert_non_null(b.wb.lens);
    assert_non_null(b.wb.dla);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    workbench_release(&b.wb);
    engine_release(&b.g);
    session_release(&b.s);
    canvas_release(&b.canvas);
    arena_release(&b.arena);
    return 0;
}

#endif
