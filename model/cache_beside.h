#ifndef SONDE_MODEL_CACHE_BESIDE_H
#define SONDE_MODEL_CACHE_BESIDE_H

#include <stdbool.h>

/* A second thread of a reader: with two reads in flight a disk and the kernel's copying reach what one
 * read after the other does not. It sleeps unless it is asked, and does one thing at a time. */
struct beside;

/* NULL: no thread could be had, the caller goes on alone. */
struct beside *beside_create(void);
void beside_release(struct beside **b);
/* Runs fn(arg) there; false: it is busy with another's. Who was told true calls beside_wait. */
bool beside_start(struct beside *b, void (*fn)(void *arg), void *arg);
void beside_wait(struct beside *b);

#endif
