/* The products of GPT-2 small at several numbers of rows, beside what the machine can do at best:
 *     build/tests/bench_ops [-t THREADS] [-d f32|f16|bf16] [M...]
 * Weights are cycled so that caches do not flatter. Best of several runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "model/core/tensor.h"
#include "model/ops.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static const struct {
    const char *name;
    int64_t k, n;
} shapes[] = {{"qkv", 768, 2304}, {"o", 768, 768}, {"in", 768, 3072}, {"out", 3072, 768},
    {"unembed", 768, 50257}};

#define COPIES_BYTES ((size_t)160 << 20)

static float *numbers(int64_t n)
{
    float *x = aligned_alloc(4096, ((size_t)n * 4 + 4095) / 4096 * 4096);
    for (int64_t i = 0; x && i < n; i++)
        x[i] = (float)((i * 7919) % 1000) / 1000.0f - 0.5f;
    return x;
}

enum product { FORWARD, BACK, GRAD, PRODUCTS };
static const char *const names[PRODUCTS] = {"gemm", "gemm_t", "gemm_grad"};

static double best_time(enum product what, float *c, float *a, int64_t m, const struct panel *w,
    int copies, float *dw, struct pool *pool)
{
    double best = 1e9, begin = now();
    for (int run = 0; run < 400 && (run < 5 || now() - begin < 0.1); run++) {
        const struct panel *p = w + run % copies;
        double t = now();
        if (what == FORWARD)
            ops_gemm(c, p->n, a, p->k, m, p, 0, p->n, NULL, pool);
        else if (what == BACK)
            ops_gemm_t(a, p->k, c, p->n, m, p, false, pool);
        else
            ops_gemm_grad(dw, p->n, a, p->k, c, p->n, m, p->k, p->n, pool);
        t = now() - t;
        best = t < best ? t : best;
    }
    return best;
}

static void bench(
    size_t s, enum dtype t, const int *ms, int n_ms, double peak, double gbs, struct pool *pool)
{
    const int64_t k = shapes[s].k, n = shapes[s].n, bytes = (int64_t)panel_bytes(t, k, n);
    int copies = (int)(COPIES_BYTES / (size_t)bytes) + 1;
    struct panel w[512];
    float *raw = numbers(k * n), *dw = calloc((size_t)(k * n), 4);
    void *narrow = malloc((size_t)(k * n) * 4);
    char *all =
        aligned_alloc(2 << 20, ((size_t)(copies * bytes) + (2 << 20)) / (2 << 20) * (2 << 20));
    if (!raw || !dw || !narrow || !all)
        return;
    (void)madvise(all, (size_t)copies * (size_t)bytes, MADV_HUGEPAGE);
    tensor_narrow(narrow, raw, t, k * n);
    for (int i = 0; i < copies; i++) {
        w[i] = (struct panel){t, k, n, panel_width(), all + i * bytes};
        panel_pack_rows(&w[i], narrow, 0, k);
    }
    for (int i = 0; i < n_ms; i++) {
        float *a = numbers(ms[i] * k), *c = numbers(ms[i] * n);
        double flops = 2.0 * (double)ms[i] * (double)k * (double)n;
        /* The roof: whichever of arithmetic and reading the weights takes longer. */
        double roof = flops / (peak * 1e9), read = (double)bytes / (gbs * 1e9);
        printf("%-8s M %5d", shapes[s].name, ms[i]);
        for (enum product p = FORWARD; p < PRODUCTS; p++) {
            double sec = best_time(p, c, a, ms[i], w, copies, dw, pool);
            printf("  %s %7.1f GFLOP/s %5.1f GB/s %3.0f%%", names[p], flops / sec * 1e-9,
                (double)bytes / sec * 1e-9, 100 * (roof > read ? roof : read) / sec);
            if (ms[i] < 16)
                break;
        }
        printf("\n");
        fflush(stdout);
        free(a);
        free(c);
    }
    free(all);
    free(raw);
    free(narrow);
    free(dw);
}

int main(int argc, char **argv)
{
    int threads = 0, ms[64] = {1, 2, 4, 6, 8, 12, 13, 16, 32, 64, 256, 1024}, n_ms = 12, given = 0;
    enum dtype t = DT_F32;
    const char *only = NULL;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "-t") && i + 1 < argc)
            threads = atoi(argv[++i]);
        else if (!strcmp(argv[i], "-s") && i + 1 < argc)
            only = argv[++i];
        else if (!strcmp(argv[i], "-d") && i + 1 < argc)
            t = argv[i + 1][0] == 'b'         ? DT_BF16
                : !strcmp(argv[i + 1], "f16") ? DT_F16
                                              : DT_F32,
            i++;
        else if (given < 64)
            ms[given++] = atoi(argv[i]);
    }
    n_ms = given ? given : n_ms;
    struct pool *pool = NULL;
    struct err e = {0};
    if (pool_create(&pool, threads, &e))
        return fprintf(stderr, "%s\n", e.msg), 1;
    double peak = ops_peak_gflops(pool), gbs = ops_read_gbs(pool);
    printf("%s, %d threads: peak %.1f GFLOP/s, read %.1f GB/s\n", ops_kernel_set(),
        pool_threads(pool), peak, gbs);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        if (!only || !strcmp(only, shapes[s].name))
            bench(s, t, ms, n_ms, peak, gbs, pool);
    pool_release(&pool);
    return 0;
}
