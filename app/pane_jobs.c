#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/list.h"
#include "model/core/machine.h"

/* The queue of jobs: what runs, what waits and in which order, what ended and how. */

#define SHOWN JOBS_LISTED

static int listed(struct workbench *wb, struct job_view *out)
{
    return wb->engine->jobs ? jobs_list(wb->engine->jobs, out, SHOWN) : 0;
}

/* "3.2 s", "4 min 10 s", "2 h 05 min" */
static void duration(char *buf, size_t n, double s)
{
    if (s < 10)
        snprintf(buf, n, "%.1f s", s);
    else if (s < 60)
        snprintf(buf, n, "%.0f s", s);
    else if (s < 3600)
        snprintf(buf, n, "%d min %02d s", (int)s / 60, (int)s % 60);
    else
        snprintf(buf, n, "%d h %02d min", (int)s / 3600, (int)s / 60 % 60);
}

double job_seconds_left(const struct job_view *j)
{
    double gone = machine_seconds() - j->began, share = j->total > 0 ? j->done / j->total : 0;
    if (share > 0.02)
        return gone / share - gone;
    return j->cost.seconds > gone ? j->cost.seconds - gone : NAN;
}

/* "12 MB, 3.4 s, ": what a job is expected to take; "": not known. */
static void cost_text(char *buf, size_t n, const struct job_cost *c)
{
    char time[32] = "";
    *buf = '\0';
    if (c->seconds >= 0.05)
        duration(time, sizeof time, c->seconds);
    if (c->flops > 0)
        snprintf(buf, n, "%.3g MB, %s, ", c->bytes / 1e6, *time ? time : "a moment");
}

static void row(struct workbench *wb, int i, struct list_row *out)
{
    struct job_view list[SHOWN];
    int n = listed(wb, list), before = 0;
    char time[48];
    if (i >= n)
        return;
    const struct job_view *j = &list[i];
    snprintf(out->left, sizeof out->left, "%-9s  %s", job_state_names[j->state], j->name);
    for (int k = 0; k < i; k++)
        before += list[k].state <= JOB_RUNNING && !list[k].is_aside;
    double left = job_seconds_left(j);
    if (j->state == JOB_RUNNING) {
        out->style = STYLE(STRONG);
        out->right_style = STYLE(PROGRESS);
        duration(time, sizeof time, left);
        snprintf(out->right, sizeof out->right, "%.0f %%%s%s%s",
            j->total > 0 ? 100 * j->done / j->total : 0, isnan(left) ? "" : "  ",
            isnan(left) ? "" : time, isnan(left) ? "" : " left");
    } else if (j->state == JOB_WAITING) {
        cost_text(time, sizeof time, &j->cost);
        snprintf(out->right, sizeof out->right, "%s%d before it", time, before);
    } else if (j->state >= JOB_LEFT) {
        out->style = STYLE(WARN);
        snprintf(
            out->right, sizeof out->right, "Enter runs it%s", j->state == JOB_GONE ? " again" : "");
    } else {
        duration(time, sizeof time, j->began > 0 ? j->ended - j->began : 0);
        snprintf(out->right, sizeof out->right, "%s%s", j->began > 0 ? time : "",
            j->has_report ? "  report"
            : j->has_text ? "  text"
                          : "");
        out->style = j->state == JOB_FAILED ? STYLE(ERROR) : STYLE(TEXT);
    }
}

static void draw(struct workbench *wb, struct pane *p, struct canvas *c, struct rect in)
{
    struct job_view list[SHOWN];
    int n = listed(wb, list), at = list_at(p, n);
    list_draw(wb, p, c, in, n, row);
    if (at < 0)
        return;
    const struct job_view *j = &list[at];
    if (j->state >= JOB_LEFT)
        snprintf(p->readout, sizeof p->readout,
            j->state == JOB_LEFT ? "asked for in the session before, and not finished there: Enter "
                                   "runs it, x takes it off the list"
                                 : "its report went with the session before: Enter computes it "
                                   "again, d takes it off the list");
    else if (*j->message)
        snprintf(p->readout, sizeof p->readout, "%.200s", j->message);
    else if (j->cost.flops > 0)
        snprintf(p->readout, sizeof p->readout,
            "expected: %.4g MB beside the model, %.4g GFLOP, about %.2g s", j->cost.bytes / 1e6,
            j->cost.flops / 1e9, j->cost.seconds);
    else
        snprintf(p->readout, sizeof p->readout, "%s", j->name);
    canvas_text(c, in.x + 1, in.y + in.h - 1, in.w - 2,
        j->state == JOB_FAILED   ? STYLE(ERROR)
        : pane_is_focused(wb, p) ? STYLE(STRONG)
                                 : STYLE(TEXT),
        p->readout);
}

static void heading(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    struct job_view list[SHOWN];
    int count[JOB_STATES] = {0};
    int rows = wb->engine->jobs ? jobs_list(wb->engine->jobs, list, SHOWN) : 0;
    (void)p;
    for (int i = 0; i < rows; i++)
        count[list[i].state]++;
    const int earlier = count[JOB_LEFT] + count[JOB_GONE];
    int at = snprintf(buf, n, "jobs: %d running, %d waiting, %d ended", count[JOB_RUNNING],
        count[JOB_WAITING], rows - count[JOB_RUNNING] - count[JOB_WAITING] - earlier);
    if (earlier && at > 0 && (size_t)at < n)
        snprintf(buf + at, n - (size_t)at, ", %d of the session before", earlier);
}

static bool key(struct workbench *wb, struct pane *p, const struct key *k)
{
    struct job_view list[SHOWN];
    return list_key(p, k, listed(wb, list));
}

const struct pane_class pane_jobs = {
    .name = "jobs",
    .title = "jobs",
    .help = "Commands that take a while wait here for the one computing thread and run in this "
            "order. The questions of the screen are answered between their slices, so that the "
            "panes go on working.",
    .ask = ASK_COUNT,
    .empty = "no job; :run ANALYSIS starts one",
    .search_axis = -1,
    .heading = heading,
    .draw = draw,
    .key = key,
};

/* The job under the cursor of the jobs pane; false: none. */
static bool job_here(struct workbench *wb, struct job_view *out)
{
    struct job_view list[SHOWN];
    int n = listed(wb, list), at = list_at(&wb->panes[wb->focus], n);
    if (at < 0)
        return false;
    *out = list[at];
    return true;
}

void act_jobs(struct workbench *wb, const struct key *k)
{
    (void)k;
    workbench_drill(wb, PANE_JOBS);
}

void act_cancel_job(struct workbench *wb, const struct key *k)
{
    struct job_view j;
    (void)k;
    if (job_here(wb, &j) && jobs_cancel(wb->engine->jobs, j.id))
        workbench_say(wb, false, "%s: %s", j.name,
            j.state == JOB_RUNNING ? "it stops at the end of its slice"
            : j.state == JOB_LEFT  ? "taken off the list"
                                   : "taken out of the queue");
    else
        workbench_say(wb, false, "only a running or a waiting job can be cancelled");
}

static void move(struct workbench *wb, int step)
{
    struct job_view j;
    if (!job_here(wb, &j))
        return;
    if (jobs_move(wb->engine->jobs, j.id, step))
        wb->panes[wb->focus].st.at[0] += step;
    else
        workbench_say(wb, false, "only waiting jobs change places");
}

void act_job_earlier(struct workbench *wb, const struct key *k)
{
    (void)k;
    move(wb, -1);
}

void act_job_later(struct workbench *wb, const struct key *k)
{
    (void)k;
    move(wb, 1);
}

void act_forget_job(struct workbench *wb, const struct key *k)
{
    struct job_view j;
    (void)k;
    if (job_here(wb, &j) && !jobs_forget(wb->engine->jobs, j.id))
        workbench_say(wb, false, "it has not ended; x cancels it");
}

/* What an earlier session asked for. Its end does not take the screen away: Enter shows the result. */
static void ask_again(struct workbench *wb, const struct job_view *j)
{
    char *line = jobs_line(wb->engine->jobs, j->id);
    struct question q = {.ask = ASK_COMMAND, .text = line, .name = j->name, .serial = ++wb->serial};
    if (!line)
        return;
    wb->engine->ask(wb->engine, &q);
    workbench_say(wb, false, "%s: asked for again", j->name);
    free(line);
}

void act_open_job(struct workbench *wb, const struct key *k)
{
    struct job_view j;
    (void)k;
    if (!job_here(wb, &j))
        return;
    if (j.state >= JOB_LEFT)
        ask_again(wb, &j);
    else if (!workbench_show_job(wb, j.id))
        workbench_say(
            wb, false, "%s has nothing to show%s", j.name, j.state == JOB_WAITING ? " yet" : "");
}
