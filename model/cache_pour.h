#ifndef SONDE_MODEL_CACHE_POUR_H
#define SONDE_MODEL_CACHE_POUR_H

#include "model/cache_write.h"

/* Bytes of a cache on their way to the disk: two buffers, of which one is filled while a thread of its
 * own writes the other. Used by one caller at a time. */
struct pour;

int pour_create(struct pour **out, size_t largest_row, struct err *e);
void pour_release(struct pour **p);
/* Where bytes for `at` of a shard go: *room of them at least `least`, in front of what comes next. NULL:
 * an earlier write failed, pour_settle tells. */
unsigned char *pour_take(
    struct pour *p, struct cache_shard *s, uint64_t at, size_t least, size_t *room);
void pour_put(struct pour *p, size_t n); /* so many of them are filled */
/* Waits until everything is written (not yet durable). */
int pour_settle(struct pour *p, struct err *e);
/* After pour_settle, once a group: pages of the groups before the last two leave the page cache; `all`:
 * every page. */
void pour_retire(struct pour *p, bool all);
uint64_t pour_bytes(const struct pour *p); /* after pour_settle: written so far */

#endif
