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

/* Everything of a forward pass that is not a product, for one layer of GPT-2 small. */
static void bench_rest(const int *ms, int n_ms, struct pool *pool)
{
    enum { C = 768, H = 12, F = 3072, V = 50257 };
    for (int i = 0; i < n_ms; i++) {
        const int64_t m = ms[i], offset[2] = {0, m};
        float *qkv = numbers(m * 3 * C), *z = numbers(m * C), *f = numbers(m * F), *g = numbers(C);
        float *dqkv = numbers(m * 3 * C), *scale = numbers(m), *row = numbers(V);
        const float *k = qkv + C, *v = qkv + 2 * C;
        float *dk = dqkv + C, *dv = dqkv + 2 * C;
        struct attention a = {.heads = H,
            .d_head = C / H,
            .scale = 0.125f,
            .n_seq = 1,
            .offset = offset,
            .q = qkv,
            .k = &k,
            .v = &v,
            .ldq = 3 * C,
            .ldk = 3 * C,
            .ldv = 3 * C,
            .z = z,
            .ldz = C};
        struct attention_grad ag = {.dz = z, .dq = dqkv, .dk = &dk, .dv = &dv};
        struct ln ln = {.kind = LN_TRUE, .eps = 1e-5, .gamma = g, .beta = g};
        struct row_stats st;
        double best[5] = {1e9, 1e9, 1e9, 1e9, 1e9};
        struct err e;
        for (int run = 0; run < 20; run++) {
            double t[6];
            t[0] = now();
            ops_attention(&a, pool, &e);
            t[1] = now();
            ops_ln(z, C, scale, qkv, 3 * C, m, C, &ln, pool);
            t[2] = now();
            ops_act(f, f, m * F, ACT_GELU_NEW, pool);
            t[3] = now();
            ops_row_stats(&st, row, V);
            t[4] = now();
            ops_attention_grad(&a, &ag, pool, &e);
            t[5] = now();
            for (int x = 0; x < 5; x++)
                best[x] = t[x + 1] - t[x] < best[x] ? t[x + 1] - t[x] : best[x];
        }
        double flops = 2.0 * (double)(m * m) * C;
        printf("M %5d  attention %7.0f us %5.1f GFLOP/s  ln %5.0f us  gelu_new %6.0f us  "
               "one vocabulary row %4.0f us  attention_grad %7.0f us %5.1f GFLOP/s\n",
            ms[i], best[0] * 1e6, flops / best[0] * 1e-9, best[1] * 1e6, best[2] * 1e6,
            best[3] * 1e6, best[4] * 1e6, 2.5 * flops / best[4] * 1e-9);
        free(qkv), free(z), free(f), free(g), free(dqkv), free(scale), free(row);
    }
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
    if (!only || !strcmp(only, "rest"))
        bench_rest(ms, n_ms, pool);
    pool_release(&pool);
    return 0;
}
