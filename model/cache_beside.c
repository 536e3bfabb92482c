#include "model/cache_beside.h"

#include <pthread.h>
#include <stdlib.h>

#include "model/core/parallel.h"

struct beside {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    void (*fn)(void *arg); /* NULL: nothing to do */
    void *arg;
    bool taken, ends; /* taken: from start until the caller has seen the end */
};

static void *loop(void *arg)
{
    struct beside *b = arg;
    pthread_mutex_lock(&b->lock);
    while (!b->ends) {
        if (!b->fn) {
            pthread_cond_wait(&b->changed, &b->lock);
            continue;
        }
        pthread_mutex_unlock(&b->lock);
        b->fn(b->arg);
        pthread_mutex_lock(&b->lock);
        b->fn = NULL;
        pthread_cond_broadcast(&b->changed);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

struct beside *beside_create(void)
{
    struct beside *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    int rc = thread_start(&b->thread, NULL, loop, b);
    if (rc) {
        pthread_cond_destroy(&b->changed);
        pthread_mutex_destroy(&b->lock);
        free(b);
        b = NULL;
    }
    return b;
}

void beside_release(struct beside **p)
{
    struct beside *b = *p;
    if (!b)
        return;
    pthread_mutex_lock(&b->lock);
    b->ends = true;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
    free(b);
    *p = NULL;
}

bool beside_start(struct beside *b, void (*fn)(void *arg), void *arg)
{
    if (!b)
        return false;
    pthread_mutex_lock(&b->lock);
    bool mine = !b->taken;
    if (mine) {
        b->taken = true;
        b->fn = fn;
        b->arg = arg;
        pthread_cond_broadcast(&b->changed);
    }
    pthread_mutex_unlock(&b->lock);
    return mine;
}

void beside_wait(struct beside *b)
{
    pthread_mutex_lock(&b->lock);
    while (b->fn)
        pthread_cond_wait(&b->changed, &b->lock);
    b->taken = false;
    pthread_mutex_unlock(&b->lock);
}
