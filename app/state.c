#include "app/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/words.h"
#include "model/core/outfile.h"
#include "model/core/stream.h"

#define LINES_MAX 4096
#define KEYS_MAX 400 /* the oldest are forgotten */

/* Every folder on the way to the file, for the user alone. */
static int make_folders(char *path, struct err *e)
{
    for (char *at = path + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        int failed = mkdir(path, 0700) && errno != EEXIST;
        int why = errno;
        *at = '/';
        if (failed)
            return err_set(
                e, ERR_OUTPUT, "%s: no folder for it can be made (%s)", path, strerror(why));
    }
    return 0;
}

int state_path(char *buf, size_t n, const char *name, struct err *e)
{
    const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int len;
    if (xdg && *xdg == '/')
        len = snprintf(buf, n, "%s/sonde/%s", xdg, name);
    else if (home && *home == '/')
        len = snprintf(buf, n, "%s/.local/state/sonde/%s", home, name);
    else
        return err_set(
            e, ERR_OUTPUT, "neither XDG_STATE_HOME nor HOME is set; nothing is remembered");
    if (len < 0 || (size_t)len >= n)
        return err_set(e, ERR_OUTPUT, "the path of the state folder is too long");
    return make_folders(buf, e);
}

int state_lines(
    const char *const **lines, int *n, const char *name, struct arena *arena, struct err *e)
{
    char path[4096];
    struct stream *in;
    const char *line;
    size_t len;
    *n = 0;
    int rc = state_path(path, sizeof path, name, e);
    const char **list = rc ? NULL : arena_array(arena, LINES_MAX, sizeof *list, e);
    if (!list)
        return e->code;
    *lines = list;
    if (access(path, F_OK))
        return 0;
    rc = stream_open(&in, path, e);
    if (rc)
        return rc;
    while (*n < LINES_MAX && (rc = stream_line(&line, &len, in, 0, e)) == 1)
        if (strlen(line) == len && !(list[(*n)++] = arena_strdup(arena, line, e)))
            break;
    stream_release(&in);
    return rc < 0 ? rc : 0;
}

int state_write(const char *name, const char *const *lines, int n, struct err *e)
{
    char path[4096];
    struct outfile o;
    int rc = state_path(path, sizeof path, name, e);
    if (!rc)
        rc = outfile_open(&o, path, e);
    if (rc)
        return rc;
    for (int i = 0; i < n; i++)
        fprintf(o.f, "%s\n", lines[i]);
    rc = outfile_commit(&o, e);
    return rc;
}

/* Whether the line is about the key. */
static bool is_about(const char *line, const char *key)
{
    size_t n = strlen(key);
    return !strncmp(line, key, n) && line[n] == ' ';
}

const char *state_get(const char *key, struct arena *arena)
{
    const char *const *lines;
    struct err e;
    char **words;
    int n, n_words;
    if (state_lines(&lines, &n, "state", arena, &e))
        return NULL;
    for (int i = n - 1; i >= 0; i--)
        if (is_about(lines[i], key) && !words_split(&words, &n_words, lines[i], arena, &e) &&
            n_words == 2)
            return words[1];
    return NULL;
}

int state_set(const char *key, const char *value, struct err *e)
{
    struct arena arena = {0};
    const char *const *lines, *kept[KEYS_MAX];
    int n, k = 0, rc = state_lines(&lines, &n, "state", &arena, e);
    for (int i = n > KEYS_MAX - 1 ? n - KEYS_MAX + 1 : 0; !rc && i < n; i++)
        if (!is_about(lines[i], key))
            kept[k++] = lines[i];
    if (!rc && value) {
        const char *quoted = words_quote(value, &arena, e);
        kept[k] = quoted ? arena_printf(&arena, e, "%s %s", key, quoted) : NULL;
        rc = kept[k++] ? 0 : e->code;
    }
    if (!rc)
        rc = state_write("state", kept, k, e);
    arena_release(&arena);
    return rc;
}
