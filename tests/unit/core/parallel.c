#include "model/core/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { MOST = 5000 };

struct tally {
    _Atomic int seen[MOST];
    _Atomic int bad_worker;
    int threads;
    struct pool *pool;
};

static void count(void *arg, int64_t i, int worker)
{
    struct tally *t = arg;
    atomic_fetch_add(&t->seen[i], 1);
    if (worker < 0 || worker >= t->threads)
        atomic_fetch_add(&t->bad_worker, 1);
}

static void each_index_once(void **state)
{
    (void)state;
    static struct tally t;
    struct err e;
    for (int threads = 1; threads <= 9; threads += 2) {
        struct pool *p = NULL;
        assert_int_equal(pool_create(&p, threads, &e), 0);
        assert_int_equal(pool_threads(p), threads);
        for (int64_t n = 0; n <= MOST; n = n * 2 + 1) {
            memset(&t, 0, sizeof t);
            t.threads = threads;
            pool_for(p, n, count, &t);
            for (int64_t i = 0; i < MOST; i++)
                assert_int_equal(t.seen[i], i < n);
            assert_int_equal(t.bad_worker, 0);
        }
        pool_release(&p);
        assert_null(p);
    }
    memset(&t, 0, sizeof t);
    t.threads = 1;
    pool_for(NULL, 7, count, &t);
    assert_int_equal(t.seen[6], 1);
    assert_int_equal(pool_threads(NULL), 1);
}

static void add(void *arg, int64_t i, int worker)
{
    (void)worker;
    int64_t *sums = arg;
    sums[i] += i;
}

/* Many small regions in a row, as a token makes them: what one wrote, the next reads. */
static void regions_follow_each_other(void **state)
{
    (void)state;
    struct pool *p = NULL;
    struct err e;
    int64_t sums[7] = {0};
    assert_int_equal(pool_create(&p, 4, &e), 0);
    for (int i = 0; i < 20000; i++)
        pool_for(p, 7, add, sums);
    for (int i = 0; i < 7; i++)
        assert_int_equal(sums[i], 20000 * i);
    usleep(20000); /* the workers go to sleep and must wake again */
    pool_for(p, 7, add, sums);
    assert_int_equal(sums[6], 20001 * 6);
    pool_release(&p);
    pool_release(&p);
}

static void nest(void *arg, int64_t i, int worker)
{
    struct tally *t = arg;
    (void)i, (void)worker;
    pool_for(t->pool, 10, count, t);
}

static void nested_regions_run_in_place(void **state)
{
    (void)state;
    static struct tally t;
    struct err e;
    memset(&t, 0, sizeof t);
    t.threads = 3;
    assert_int_equal(pool_create(&t.pool, 3, &e), 0);
    pool_for(t.pool, 50, nest, &t);
    for (int i = 0; i < 10; i++)
        assert_int_equal(t.seen[i], 50);
    assert_int_equal(t.bad_worker, 0);
    pool_release(&t.pool);
}

static void *caller(void *arg)
{
    struct tally *t = arg;
    for (int i = 0; i < 2000; i++)
        pool_for(t->pool, 5, count, t);
    return NULL;
}

static void first_worker_only(void *arg, int64_t i, int worker)
{
    (void)i;
    if (worker != 0)
        atomic_fetch_add(&((struct tally *)arg)->bad_worker, 1);
}

static void nest_without_a_pool(void *arg, int64_t i, int worker)
{
    (void)i, (void)worker;
    pool_for(NULL, 10, first_worker_only, arg);
}

/* Scratch for a NULL pool is one worker's, whoever the caller is. */
static void no_pool_has_one_worker(void **state)
{
    (void)state;
    static struct tally t;
    struct err e;
    memset(&t, 0, sizeof t);
    assert_int_equal(pool_create(&t.pool, 4, &e), 0);
    pool_for(t.pool, 2000, nest_without_a_pool, &t);
    assert_int_equal(t.bad_worker, 0);
    pool_release(&t.pool);
}

static void two_callers_take_turns(void **state)
{
    (void)state;
    static struct tally t;
    struct err e;
    pthread_t other;
    memset(&t, 0, sizeof t);
    t.threads = 2;
    assert_int_equal(pool_create(&t.pool, 2, &e), 0);
    assert_int_equal(pthread_create(&other, NULL, caller, &t), 0);
    caller(&t);
    pthread_join(other, NULL);
    for (int i = 0; i < 5; i++)
        assert_int_equal(t.seen[i], 4000);
    pool_release(&t.pool);
}

struct masks {
    pthread_t main;
    _Atomic int open; /* workers that would take a signal */
};

static void look_at_mask(void *arg, int64_t i, int worker)
{
    struct masks *m = arg;
    sigset_t set;
    (void)i, (void)worker;
    if (pthread_equal(pthread_self(), m->main)) {
        usleep(100);
        return;
    }
    pthread_sigmask(SIG_SETMASK, NULL, &set);
    if (!sigismember(&set, SIGINT) || !sigismember(&set, SIGWINCH) || !sigismember(&set, SIGTERM))
        atomic_fetch_add(&m->open, 1);
}

static void workers_take_no_signals(void **state)
{
    (void)state;
    struct masks m = {.main = pthread_self()};
    struct pool *p = NULL;
    struct err e;
    sigset_t set;
    assert_int_equal(pool_create(&p, 3, &e), 0);
    pool_for(p, 100, look_at_mask, &m);
    assert_int_equal(m.open, 0);
    pthread_sigmask(SIG_SETMASK, NULL, &set);
    assert_false(sigismember(&set, SIGINT));
    pool_release(&p);
}

static void affinity_is_obeyed(void **state)
{
    (void)state;
    cpu_set_t all, one;
    struct pool *p = NULL;
    struct err e;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &one);
    assert_int_equal(pool_create(&p, 0, &e), 0);
    assert_true(pool_threads(p) >= 1 && pool_threads(p) <= CPU_COUNT(&all));
    pool_release(&p);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(pool_create(&p, 0, &e), 0);
    assert_int_equal(pool_threads(p), 1);
    pool_release(&p);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_index_once),
        cmocka_unit_test(regions_follow_each_other),
        cmocka_unit_test(nested_regions_run_in_place),
        cmocka_unit_test(no_pool_has_one_worker),
        cmocka_unit_test(two_callers_take_turns),
        cmocka_unit_test(workers_take_no_signals),
        cmocka_unit_test(affinity_is_obeyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
