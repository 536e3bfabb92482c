#ifndef SONDE_CORE_PARALLEL_H
#define SONDE_CORE_PARALLEL_H

#include <pthread.h>
#include <stdint.h>

#include "model/core/err.h"

/* A thread that no signal reaches: they are for the one that waits for them. As pthread_create. */
int thread_start(pthread_t *out, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);

/* The one thread pool of the process: the caller is worker 0. */
struct pool;

typedef void (*pool_fn)(void *arg, int64_t i, int worker);

/* threads <= 0: the processors this process may run on (affinity and cgroup quota obeyed). */
int pool_create(struct pool **out, int threads, struct err *e);
void pool_release(struct pool **p);
/* 1 for a NULL pool, which runs everything in the caller. */
int pool_threads(const struct pool *p);
/* Calls fn(arg, i, worker) once for each i in [0, n), in any order, and returns when all are done.
 * 0 <= worker < pool_threads(p). A pool_for inside fn runs
 * in its own thread, in order. Other threads that call it at once take turns. */
void pool_for(struct pool *p, int64_t n, pool_fn fn, void *arg);

#endif
