#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/cache_write.h"

/* X.h5 is written last: until then there is X.acts/ alone. */
bool cache_left(struct cache_left *out, const char *path)
{
    struct stat st;
    struct cache_h5 f;
    struct err e;
    char name[sizeof out->folder + 64];
    size_t n = strlen(path);
    *out = (struct cache_left){0};
    if (n <= 3 || n >= sizeof out->folder - 8 || strcmp(path + n - 3, ".h5") != 0 ||
        !stat(path, &st))
        return false;
    snprintf(out->folder, sizeof out->folder, "%.*s.acts", (int)(n - 3), path);
    if (stat(out->folder, &st) || !S_ISDIR(st.st_mode))
        return false;
    /* Any shard says how many there are to be; tasks of an array leave gaps. */
    int64_t most = 1;
    for (int64_t i = 0; i < most; i++) {
        cache_shard_name(name, sizeof name, out->folder, i, "");
        bool is_whole = !access(name, R_OK);
        if (!is_whole)
            cache_shard_name(name, sizeof name, out->folder, i, ".part");
        if (!out->shards && !access(name, R_OK) && !cache_h5_open(&f, name, &e)) {
            out->shards = most = f.head.shards;
            cache_h5_close(&f);
        }
        if (is_whole && !out->whole++)
            snprintf(out->first, sizeof out->first, "%s", name);
        if (!out->shards && i + 1 == most && most < 64)
            most++;
    }
    return true;
}

void cache_left_text(char *buf, size_t n, const char *path, const struct cache_left *l)
{
    int at = snprintf(buf, n, "%s is not finished", path);
    if (l->shards)
        at += snprintf(buf + at, n - (size_t)at, ": %lld of %lld shards are", (long long)l->whole,
            (long long)l->shards);
    snprintf(buf + at, n - (size_t)at, "; its sonde cache command once more with --resume goes on");
}

int cache_left_error(const char *path, const struct cache_left *l, struct err *e)
{
    char text[sizeof e->msg];
    cache_left_text(text, sizeof text, path, l);
    if (!l->whole)
        return err_set(e, ERR_INPUT, "%s", text);
    return err_set(e, ERR_INPUT, "%s, and a finished shard can be read alone: %s", text, l->first);
}
