#include "model/core/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(struct err *e, const char *path)
{
    const char *remedy = "";
    if (errno == ENOENT)
        remedy = "; make the folder first";
    else if (errno == ENOSPC || errno == EDQUOT)
        remedy = "; free some space or choose another place";
    return err_set(e, ERR_OUTPUT, "cannot write %s: %s%s", path, strerror(errno), remedy);
}

static void forget(struct outfile *o)
{
    free(o->path);
    free(o->part);
    *o = (struct outfile){0};
}

/* Locks the open file for as long as it is open. Systems that cannot lock go without. */
static int take(int fd, const char *part, struct err *e)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &lock) && (errno == EAGAIN || errno == EACCES))
        return err_set(e, ERR_OUTPUT, "%s is being written by another process", part);
    return 0;
}

/* Whether fd is still what `path` names: the last writer may just have renamed it away. */
static bool is_current(int fd, const char *path)
{
    struct stat a, b;
    return !fstat(fd, &a) && !stat(path, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int open_part(struct outfile *o, mode_t mode, struct err *e)
{
    for (int tries = 0; tries < 16; tries++) {
        int fd = open(o->part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0)
            return fail(e, o->path);
        int rc = take(fd, o->part, e);
        if (!rc && !is_current(fd, o->part)) {
            close(fd);
            continue;
        }
        if (!rc && (ftruncate(fd, 0) || (mode && fchmod(fd, mode))))
            rc = fail(e, o->part);
        if (!rc && !(o->f = fdopen(fd, "r+b")))
            rc = fail(e, o->part);
        if (rc)
            close(fd);
        return rc;
    }
    return err_set(e, ERR_OUTPUT, "%s is being written by another process", o->part);
}

int outfile_open(struct outfile *o, const char *path, struct err *e)
{
    struct stat st;
    *o = (struct outfile){0};
    bool exists = !stat(path, &st);
    if (exists && S_ISDIR(st.st_mode))
        return err_set(e, ERR_OUTPUT, "cannot write %s: it is a folder", path);
    o->path = exists ? realpath(path, NULL) : strdup(path);
    if (exists && !S_ISREG(st.st_mode)) {
        o->f = fopen(path, "wb");
        if (o->path && o->f)
            return 0;
    } else if (o->path && (o->part = malloc(strlen(o->path) + sizeof ".part"))) {
        sprintf(o->part, "%s.part", o->path);
        int rc = open_part(o, exists ? st.st_mode & 07777 : 0, e);
        if (rc)
            forget(o);
        return rc;
    }
    int rc = fail(e, path);
    if (o->f)
        fclose(o->f);
    forget(o);
    return rc;
}

/* The new name must survive a power cut as well. */
static void sync_folder(const char *path)
{
    char *copy = strdup(path);
    int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    free(copy);
}

int outfile_commit(struct outfile *o, struct err *e)
{
    int rc = 0;
    if (!o->f)
        return 0;
    if (fflush(o->f) || ferror(o->f) || (o->part && fsync(fileno(o->f))) ||
        (o->part && rename(o->part, o->path)))
        rc = fail(e, o->path);
    else if (o->part)
        sync_folder(o->path);
    if (fclose(o->f) && !rc)
        rc = fail(e, o->path);
    forget(o);
    return rc;
}

void outfile_abandon(struct outfile *o)
{
    if (o->f)
        fclose(o->f);
    forget(o);
}

void outfile_discard(struct outfile *o)
{
    if (o->part)
        unlink(o->part);
    outfile_abandon(o);
}
