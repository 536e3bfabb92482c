#include "model/kernels/kernels.h"
#include "model/ops.h"

#define PIECE 4096

struct act_job {
    const struct kernels *kern;
    float *y;
    const float *x, *dy;
    int64_t n;
    enum act act;
};

static void act_piece(void *arg, int64_t i, int worker)
{
    const struct act_job *j = arg;
    (void)worker;
    int64_t at = i * PIECE, n = j->n - at < PIECE ? j->n - at : PIECE;
    if (j->dy)
        j->kern->act_grad(j->y + at, j->dy + at, j->x + at, n, j->act);
    else
        j->kern->act(j->y + at, n, j->x + at, n, 1, n, j->act);
}

static void run(const struct act_job *j, struct pool *pool)
{
    struct act_job job = *j;
    if (j->n > 0)
        pool_for(j->n <= 2 * PIECE ? NULL : pool, (j->n + PIECE - 1) / PIECE, act_piece, &job);
}

void ops_act(float *y, const float *x, int64_t n, enum act act, struct pool *pool)
{
    run(&(struct act_job){kernels_get(), y, x, NULL, n, act}, pool);
}

void ops_act_grad(
    float *dx, const float *dy, const float *x, int64_t n, enum act act, struct pool *pool)
{
    run(&(struct act_job){kernels_get(), dx, x, dy, n, act}, pool);
}
