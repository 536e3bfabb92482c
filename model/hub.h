#ifndef SONDE_MODEL_HUB_H
#define SONDE_MODEL_HUB_H

#include "model/core/err.h"

/* Where a model's name leads on this machine; nothing is ever fetched. In this order: a folder, a
 * name under $SONDE_MODELS (folders separated by ':'), and the hub caches that huggingface_hub would
 * use: $HF_HUB_CACHE, $HF_HOME/hub, $XDG_CACHE_HOME/huggingface/hub, ~/.cache/huggingface/hub. There
 * ORG/NAME or NAME is models--ORG--NAME/snapshots/REV with REV from refs/main, or from the name
 * itself: NAME@REV (a branch, a tag or a commit). Usual short names are aliases: gpt2-small,
 * distilgpt2, stanford-gpt2-small-a. */
#define HUB_PATH 1024
int hub_find(
    char out[HUB_PATH], const char *name, struct err *e); /* the error says where it looked */
/* Every name that hub_find would find without a path, with its folder. */
int hub_list(void (*each)(void *arg, const char *name, const char *path), void *arg, struct err *e);

#endif
