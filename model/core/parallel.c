#include "model/core/parallel.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_THREADS 256
#define STACK_BYTES ((size_t)8 << 20) /* kernels keep their scratch on the stack */
#define LINE 64
/* About 50 us of spinning before a sleep: longer than the serial gaps between the regions of one
 * token, far shorter than a time slice. */
#define SPINS 1500

/* `state` is epoch << 32 | items left to claim. Claiming is a compare-and-swap, so a worker that
 * wakes late finds either nothing left or a new epoch, and nobody ever waits for a worker that has
 * claimed nothing. */
struct pool {
    _Alignas(LINE) _Atomic uint64_t state;
    _Alignas(LINE) _Atomic int64_t done; /* items finished of this epoch */
    _Atomic uint32_t done_signal;        /* futex word of the caller */
    _Atomic int caller_sleeps;
    _Alignas(LINE) _Atomic uint32_t signal; /* futex word of the workers: the epoch */
    _Atomic int sleepers;
    _Atomic bool stop;
    _Alignas(LINE) pool_fn fn;
    void *arg;
    int64_t n, chunk;
    int threads;
    pthread_mutex_t callers; /* two threads that share the pool take turns */
    pthread_t thread[MAX_THREADS];
};

struct start {
    struct pool *pool;
    int worker;
};

/* Set while this thread runs an item: a nested region then runs where it is, under a worker's number
 * that its own pool knows. */
static _Thread_local const struct pool *inside;
static _Thread_local int inside_worker;

static void futex_wait(_Atomic uint32_t *word, uint32_t expected)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word, int n)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Claims and runs items until none are left; returns how many this thread ran. */
static int64_t work(struct pool *p, int worker)
{
    int64_t ran = 0;
    uint64_t s = atomic_load_explicit(&p->state, memory_order_acquire);
    inside = p;
    inside_worker = worker;
    while ((uint32_t)s) {
        if (!atomic_compare_exchange_weak_explicit(
                &p->state, &s, s - 1, memory_order_acquire, memory_order_acquire))
            continue;
        /* The job cannot end before this item does, so its fields are stable from here. */
        int64_t last = (p->n + p->chunk - 1) / p->chunk;
        int64_t i = (last - (int64_t)(uint32_t)s) * p->chunk;
        int64_t end = i + p->chunk < p->n ? i + p->chunk : p->n;
        for (; i < end; i++)
            p->fn(p->arg, i, worker);
        ran++;
        s = atomic_load_explicit(&p->state, memory_order_acquire);
        /* Another epoch may have begun only after this one was counted: report first. */
        if (!(uint32_t)s)
            break;
    }
    inside = NULL;
    return ran;
}

static void report(struct pool *p, int64_t ran, int64_t items)
{
    if (!ran)
        return;
    if (atomic_fetch_add(&p->done, ran) + ran < items)
        return;
    atomic_fetch_add(&p->done_signal, 1);
    if (atomic_load(&p->caller_sleeps))
        futex_wake(&p->done_signal, 1);
}

static void *worker_main(void *arg)
{
    struct start *start = arg;
    struct pool *p = start->pool;
    int worker = start->worker;
    free(start);
    for (;;) {
        int spins = 0;
        while (!(uint32_t)atomic_load_explicit(&p->state, memory_order_acquire)) {
            if (atomic_load(&p->stop))
                return NULL;
            if (++spins < SPINS) {
                relax();
                continue;
            }
            uint32_t seen = atomic_load(&p->signal);
            atomic_fetch_add(&p->sleepers, 1);
            if (!(uint32_t)atomic_load(&p->state) && !atomic_load(&p->stop))
                futex_wait(&p->signal, seen);
            atomic_fetch_sub(&p->sleepers, 1);
            spins = 0;
        }
        int64_t ran = work(p, worker);
        if (ran)
            report(p, ran, (p->n + p->chunk - 1) / p->chunk);
    }
}

static void run_here(int64_t n, pool_fn fn, void *arg, int worker)
{
    for (int64_t i = 0; i < n; i++)
        fn(arg, i, worker);
}

void pool_for(struct pool *p, int64_t n, pool_fn fn, void *arg)
{
    if (n <= 0)
        return;
    if (inside) {
        run_here(n, fn, arg, inside == p ? inside_worker : 0);
        return;
    }
    if (n == 1 || pool_threads(p) == 1) {
        run_here(n, fn, arg, 0);
        return;
    }
    pthread_mutex_lock(&p->callers);
    p->fn = fn;
    p->arg = arg;
    p->n = n;
    p->chunk = n / UINT32_MAX + 1;
    int64_t items = (n + p->chunk - 1) / p->chunk;
    atomic_store_explicit(&p->done, 0, memory_order_relaxed);
    uint64_t epoch = (atomic_load_explicit(&p->state, memory_order_relaxed) >> 32) + 1;
    atomic_store(&p->state, epoch << 32 | (uint64_t)items);
    atomic_fetch_add(&p->signal, 1);
    int sleepers = atomic_load(&p->sleepers);
    if (sleepers > 0)
        futex_wake(&p->signal, items - 1 < sleepers ? (int)(items - 1) : sleepers);

    report(p, work(p, 0), items);
    for (int spins = 0; atomic_load_explicit(&p->done, memory_order_acquire) < items; spins++) {
        if (spins < SPINS) {
            relax();
            continue;
        }
        uint32_t seen = atomic_load(&p->done_signal);
        atomic_store(&p->caller_sleeps, 1);
        if (atomic_load(&p->done) < items)
            futex_wait(&p->done_signal, seen);
        atomic_store(&p->caller_sleeps, 0);
    }
    pthread_mutex_unlock(&p->callers);
}

int pool_threads(const struct pool *p)
{
    return p ? p->threads : 1;
}

/* First line of a small file; false if it is not there. */
static bool read_line(char *buf, size_t n, const char *path)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    bool ok = fgets(buf, (int)n, f) != NULL;
    fclose(f);
    return ok;
}

/* Processors that a quota allows, rounded up; 0: no quota there. */
static int quota_at(const char *dir, bool v2)
{
    char path[4400], line[128];
    long long quota = 0, period = 100000;
    if (v2) {
        snprintf(path, sizeof path, "%s/cpu.max", dir);
        if (!read_line(line, sizeof line, path) || sscanf(line, "%lld %lld", &quota, &period) < 1)
            return 0;
    } else {
        snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", dir);
        if (!read_line(line, sizeof line, path) || sscanf(line, "%lld", &quota) != 1)
            return 0;
        snprintf(path, sizeof path, "%s/cpu.cfs_period_us", dir);
        if (read_line(line, sizeof line, path))
            (void)sscanf(line, "%lld", &period);
    }
    if (quota <= 0 || period <= 0)
        return 0;
    long long n = (quota + period - 1) / period;
    return n > MAX_THREADS ? MAX_THREADS : (int)n;
}

/* The smallest quota on the way from our own group up to the root. */
static int quota_up(const char *mount, char *group, bool v2)
{
    char dir[4300];
    int best = 0;
    for (;;) {
        snprintf(dir, sizeof dir, "%s%s", mount, group);
        int q = quota_at(dir, v2);
        if (q && (!best || q < best))
            best = q;
        char *slash = strrchr(group, '/');
        if (!slash)
            return best;
        *slash = '\0';
    }
}

static int cgroup_limit(void)
{
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (!f)
        return 0;
    char line[4200];
    int best = 0;
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = '\0';
        controllers++;
        bool v2 = !*controllers;
        if (!v2 && !strstr(controllers, "cpu"))
            continue;
        int q = quota_up(v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu", group, v2);
        if (q && (!best || q < best))
            best = q;
    }
    fclose(f);
    return best;
}

static int default_threads(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) ? (int)sysconf(_SC_NPROCESSORS_ONLN)
                                                   : CPU_COUNT(&set);
    int quota = cgroup_limit();
    if (quota && quota < n)
        n = quota;
    return n < 1 ? 1 : n;
}

int thread_start(pthread_t *out, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(out, attr, fn, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

static int start_worker(struct pool *p, int worker)
{
    struct start *start = malloc(sizeof *start);
    if (!start)
        return ENOMEM;
    *start = (struct start){p, worker};
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    int rc = thread_start(&p->thread[worker], &attr, worker_main, start);
    pthread_attr_destroy(&attr);
    if (rc)
        free(start);
    return rc;
}

int pool_create(struct pool **out, int threads, struct err *e)
{
    *out = NULL;
    if (threads <= 0)
        threads = default_threads();
    if (threads > MAX_THREADS)
        threads = MAX_THREADS;
    struct pool *p = aligned_alloc(LINE, sizeof *p);
    if (!p)
        return err_set(e, ERR_LIMIT, "out of memory for the thread pool");
    memset(p, 0, sizeof *p);
    p->chunk = 1;
    pthread_mutex_init(&p->callers, NULL);
    p->threads = 1;
    for (int i = 1; i < threads; i++) {
        int rc = start_worker(p, i);
        if (rc) {
            pool_release(&p);
            return err_set(e, ERR_LIMIT, "cannot start thread %d of %d (%s); ask for fewer with -t",
                i + 1, threads, strerror(rc));
        }
        p->threads++;
    }
    *out = p;
    return 0;
}

void pool_release(struct pool **pp)
{
    struct pool *p = *pp;
    if (!p)
        return;
    *pp = NULL;
    atomic_store(&p->stop, true);
    atomic_fetch_add(&p->signal, 1);
    futex_wake(&p->signal, MAX_THREADS);
    for (int i = 1; i < p->threads; i++)
        pthread_join(p->thread[i], NULL);
    pthread_mutex_destroy(&p->callers);
    free(p);
}
