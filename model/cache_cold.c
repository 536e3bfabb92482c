#include "model/cache_cold.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/cache_write.h"

#define PAGE ((size_t)4096)
#define HUGE ((size_t)2 << 20)

int cold_open(struct cold_file *f, const char *path, struct err *e)
{
    struct stat st;
    *f = (struct cold_file){open(path, O_RDONLY | O_CLOEXEC), -1};
    if (f->fd < 0)
        return err_set(e, ERR_INPUT, "%s", strerror(errno));
    /* Who reads on asks for it himself: the kernel would read ahead of a few rows what nobody wants. Of
     * a file that is another's it does not say what is in memory (mincore), and goes on as usual. */
    if (!fstat(f->fd, &st) && (st.st_uid == geteuid() || !access(path, W_OK)))
        (void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_RANDOM);
    f->direct = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    return 0;
}

void cold_close(struct cold_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    if (f->direct >= 0)
        close(f->direct);
    *f = COLD_NONE;
}

/* Huge pages: a disk takes a read as a list of pieces of memory that lie together, and 4 MiB of single
 * pages are a thousand of them. */
void *cold_buffer(size_t n)
{
    size_t room = COLD_ROOM(n), align = room < HUGE ? PAGE : HUGE;
    room = (room + align - 1) / align * align;
    void *p = aligned_alloc(align, room);
    if (p && align == HUGE)
        (void)madvise(p, room, MADV_HUGEPAGE);
    return p;
}

/* Asked of a mapping that nobody touches: a read that must not wait would start to read. */
bool cold_is(const struct cold_file *f, uint64_t at, uint64_t n)
{
    unsigned char here[1024];
    uint64_t first = at / PAGE, last = (at + n + PAGE - 1) / PAGE;
    bool cold = false;
    for (uint64_t page = first; page < last && !cold; page += sizeof here) {
        size_t some = last - page < sizeof here ? (size_t)(last - page) : sizeof here;
        void *map = mmap(NULL, some * PAGE, PROT_READ, MAP_SHARED, f->fd, (off_t)(page * PAGE));
        if (map == MAP_FAILED)
            return true;
        if (!mincore(map, some * PAGE, here))
            for (size_t i = 0; i < some && !cold; i++)
                cold = !(here[i] & 1);
        munmap(map, some * PAGE);
    }
    return cold;
}

/* Whole pages around the bytes; the last may be cut by the file's end. */
static bool read_direct(unsigned char *buf, int fd, size_t skip, size_t n, uint64_t at)
{
    size_t want = (skip + n + PAGE - 1) / PAGE * PAGE;
    for (size_t done = 0; done < skip + n;) {
        ssize_t got = pread(fd, buf + done, want - done, (off_t)(at - skip + done));
        if (got < 0 && errno == EINTR)
            continue;
        done += got > 0 ? (size_t)got : 0;
        if (got <= 0 || (done % PAGE && done < skip + n))
            return false;
    }
    return true;
}

int cold_read(const unsigned char **out, const struct cold_file *f, void *buf, size_t n,
    uint64_t at, struct err *e)
{
    size_t skip = (size_t)(at % PAGE);
    bool cold = cold_is(f, at, n);
    *out = (unsigned char *)buf + skip;
    if (cold && f->direct >= 0 && read_direct(buf, f->direct, skip, n, at))
        return 0;
    /* In the usual way, which also says what is wrong. */
    int rc = cache_pread((unsigned char *)buf + skip, f->fd, n, at, e);
    if (cold)
        (void)posix_fadvise(f->fd, (off_t)(at - skip), (off_t)(skip + n), POSIX_FADV_DONTNEED);
    return rc;
}
