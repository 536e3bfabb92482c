#include "app/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/cache.h"
#include "model/ops.h"

int output_check(const char *path, struct err *e)
{
    char folder[4096];
    struct stat st;
    if (!path)
        return 0;
    if (!stat(path, &st) && S_ISDIR(st.st_mode))
        return err_set(e, ERR_OUTPUT, "%s is a folder; give -o a file name", path);
    if ((size_t)snprintf(folder, sizeof folder, "%s", path) >= sizeof folder)
        return err_set(e, ERR_OUTPUT, "the path of -o is too long");
    char *slash = strrchr(folder, '/');
    if (!slash)
        snprintf(folder, sizeof folder, ".");
    else
        slash[slash == folder] = '\0';
    if (stat(folder, &st))
        return err_set(e, ERR_OUTPUT, "%s: there is no folder %s (%s); make it first", path, folder,
            strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return err_set(e, ERR_OUTPUT, "%s: %s is not a folder", path, folder);
    if (access(folder, W_OK | X_OK))
        return err_set(e, ERR_OUTPUT, "%s: the folder %s cannot be written (%s)", path, folder,
            strerror(errno));
    return 0;
}

int output_open(struct report **out, const char *path, struct err *e)
{
    struct cache_left left;
    return cache_left(&left, path) ? cache_left_error(path, &left, e) : report_open(out, path, e);
}

int output_whole(const char *path, const char *block, struct err *e)
{
    struct cache *c = NULL;
    if ((block && strncmp(block + (*block == '/'), "acts", 4) != 0) || !cache_is(path))
        return 0;
    int rc = cache_open(&c, path, e);
    if (!rc)
        rc = cache_check(c, e);
    cache_release(&c);
    return rc;
}

int output_report(struct report **out, const char *path, const struct session *s,
    const char *command, struct err *e)
{
    struct report_info info = {.command = command,
        .kernel_set = ops_kernel_set(),
        .tool_version = SONDE_VERSION,
        .threads = s->threads};
    int rc = report_create(out, path, e);
    if (rc)
        return rc;
    rc = report_describe(*out, &info, e);
    if (rc)
        return output_close(out, path, rc, NULL, e);
    return 0;
}

int output_close(struct report **r, const char *path, int rc, struct session *s, struct err *e)
{
    if (!*r)
        return rc;
    if (rc >= 0) {
        int closed = report_close(r, e);
        return closed < 0 ? closed : rc;
    }
    bool keep = (rc == ERR_CANCEL || rc == ERR_LIMIT) && report_runs(*r) > 0;
    report_abandon(r);
    if (!path)
        return rc;
    char part[4096 + 8];
    snprintf(part, sizeof part, "%.4096s.part", path);
    if (!keep)
        unlink(part);
    else if (s && !access(part, F_OK))
        session_note(s, "what was finished is in %s", part);
    return rc;
}
