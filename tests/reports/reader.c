#include "tests/fuzz/fuzz_report.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reads files that may be damaged, for hostile.py:
 *   reader FILE...             a line a file: "ok RUNS BLOCKS", or the code and the error
 *   reader --cut FILE N        cut short at N places
 *   reader --flip FILE N SEED  with a byte changed at each of N places; the counts of both outcomes
 * Whatever the file holds, an error is one line of our own with a code of our own. */

static int bad_answers;

static int look(const char *path, bool tell)
{
    struct err e = {0};
    int runs, blocks, rc = report_look_at(&runs, &blocks, path, &e);
    size_t n = strlen(e.msg);
    if (rc && ((rc != ERR_INPUT && rc != ERR_LIMIT) || !n || memchr(e.msg, '\n', n))) {
        fprintf(stderr, "a bad answer: %d %s\n", rc, e.msg);
        bad_answers++;
    }
    if (tell && rc)
        printf("%d %s\n", -rc, e.msg);
    else if (tell)
        printf("ok %d %d\n", runs, blocks);
    return rc;
}

static int look_at_bytes(const char *data, size_t n)
{
    char path[] = "/tmp/sonde-hostile-XXXXXX";
    int rc = 0, fd = mkstemp(path);
    if (fd < 0 || write(fd, data, n) != (ssize_t)n)
        exit(2);
    rc = look(path, false);
    close(fd);
    unlink(path);
    return rc;
}

static char *slurp(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    char *data = malloc(64 << 20);
    if (!f || !data)
        exit(2);
    *n = fread(data, 1, 64 << 20, f);
    fclose(f);
    return data;
}

static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static int mutate(const char *how, const char *path, int64_t times, uint64_t seed)
{
    size_t n;
    int64_t fine = 0;
    char *data = slurp(path, &n);
    for (int64_t i = 0; i < times; i++) {
        if (!strcmp(how, "--cut")) {
            fine += !look_at_bytes(data, n * (size_t)i / (size_t)times);
            continue;
        }
        size_t at = next(&seed) % n;
        char old = data[at];
        data[at] = (char)(old ^ (1 << next(&seed) % 8));
        if (next(&seed) % 4 == 0)
            data[at] = (char)(next(&seed) % 2 ? 0xff : 0);
        fine += !look_at_bytes(data, n);
        data[at] = old;
    }
    printf("%lld %lld\n", (long long)fine, (long long)(times - fine));
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 3 && !strncmp(argv[1], "--", 2))
        mutate(argv[1], argv[2], atoll(argv[3]), argc > 4 ? (uint64_t)atoll(argv[4]) : 0);
    else
        for (int i = 1; i < argc; i++)
            look(argv[i], true);
    return bad_answers > 0;
}
