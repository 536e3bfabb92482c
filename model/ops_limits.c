#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "model/kernels/kernels.h"
#include "model/ops.h"

/* Which kernel set runs, and what the machine under it can do at best. */

static const struct kernels *const *available(void)
{
    static const struct kernels *list[4];
    int n = 0;
#ifdef SONDE_X86_KERNELS
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        list[n++] = &kernels_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        list[n++] = &kernels_avx2;
#endif
    list[n++] = &kernels_generic;
    list[n] = NULL;
    return list;
}

static const struct kernels *const *all;
static const struct kernels *chosen;

/* Before main, so that no two threads can race to choose. A name that this machine cannot run is
 * passed over. */
__attribute__((constructor)) static void choose(void)
{
    all = available();
    chosen = all[0];
    const char *want = getenv("SONDE_KERNELS");
    for (int i = 0; want && all[i]; i++)
        if (!strcmp(all[i]->name, want))
            chosen = all[i];
}

const struct kernels *kernels_get(void)
{
    return chosen;
}

const struct kernels *const *kernels_all(void)
{
    return all;
}

void kernels_use(const struct kernels *k)
{
    chosen = k;
}

const char *ops_kernel_set(void)
{
    return chosen->name;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Results of the loops go here, so that no compiler can drop them. */
static _Atomic double sink;

struct peak {
    int64_t n;
    double flops; /* of one thread */
};

static void peak_one(void *arg, int64_t i, int worker)
{
    struct peak *p = arg;
    double flops;
    (void)worker;
    double x = chosen->fma_loop(p->n, &flops);
    if (!i)
        p->flops = flops;
    atomic_store(&sink, x);
}

double ops_peak_gflops(struct pool *pool)
{
    int threads = pool_threads(pool);
    struct peak p = {.n = 100000};
    double best = 0;
    /* Grow until a run takes a few milliseconds, then keep the best of several. */
    for (int run = 0, timed = 0; timed < 8 && run < 40; run++) {
        double t = seconds();
        pool_for(pool, threads, peak_one, &p);
        t = seconds() - t;
        if (t < 3e-3) {
            p.n *= 2;
            continue;
        }
        timed++;
        double g = p.flops * threads / t * 1e-9;
        best = g > best ? g : best;
    }
    return best;
}

#define READ_BYTES ((size_t)192 << 20) /* several times a last-level cache */
#define READ_PIECE ((size_t)1 << 20)

struct reading {
    char *data;
    bool fill;
};

static void read_piece(void *arg, int64_t i, int worker)
{
    struct reading *r = arg;
    (void)worker;
    char *p = r->data + (size_t)i * READ_PIECE;
    if (r->fill)
        memset(p, 0, READ_PIECE);
    else
        atomic_store(&sink, chosen->read_loop((const float *)(void *)p, READ_PIECE / 4));
}

double ops_read_gbs(struct pool *pool)
{
    void *data = mmap(NULL, READ_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED)
        return 0;
    (void)madvise(data, READ_BYTES, MADV_HUGEPAGE);
    struct reading r = {data, true};
    double best = 0;
    pool_for(pool, READ_BYTES / READ_PIECE, read_piece, &r);
    r.fill = false;
    for (int run = 0; run < 4; run++) {
        double t = seconds();
        pool_for(pool, READ_BYTES / READ_PIECE, read_piece, &r);
        t = seconds() - t;
        double g = (double)READ_BYTES / t * 1e-9;
        best = g > best ? g : best;
    }
    munmap(data, READ_BYTES);
    return best;
}
