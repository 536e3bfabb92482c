#include "model/core/machine.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* The first line of a small file; 0 if there is none. */
static int first_line(char *buf, size_t n, const char *path)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    char *got = fgets(buf, (int)n, f);
    fclose(f);
    if (got)
        buf[strcspn(buf, "\n")] = '\0';
    return got != NULL;
}

/* Calls fn with the path of `file` in this process' cgroup (version 2, or version 1's controller) and
 * in each of its parents: every one of them limits us. */
static void each_cgroup(
    const char *controller, const char *file, void (*fn)(void *arg, const char *path), void *arg)
{
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (!f)
        return;
    char line[1024], path[2048];
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        char *names = strchr(line, ':');
        char *dir = names ? strchr(names + 1, ':') : NULL;
        if (!dir)
            continue;
        *dir++ = '\0';
        char root[128];
        if (!names[1])
            snprintf(root, sizeof root, "/sys/fs/cgroup");
        else if (strstr(names + 1, controller))
            snprintf(root, sizeof root, "/sys/fs/cgroup/%s", controller);
        else
            continue;
        for (;;) {
            snprintf(path, sizeof path, "%s%s/%s", root, strcmp(dir, "/") ? dir : "", file);
            fn(arg, path);
            char *slash = strrchr(dir, '/');
            if (!slash || !dir[1])
                break;
            slash[slash == dir] = '\0';
        }
    }
    fclose(f);
}

static void smaller_limit(void *arg, const char *path)
{
    uint64_t *limit = arg;
    char line[64];
    if (!first_line(line, sizeof line, path))
        return;
    char *end;
    unsigned long long v = strtoull(line, &end, 10);
    if (end != line && v && v < *limit)
        *limit = v;
}

static uint64_t physical(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
}

uint64_t machine_memory(void)
{
    uint64_t limit = physical();
    each_cgroup("memory", "memory.max", smaller_limit, &limit);
    each_cgroup("memory", "memory.limit_in_bytes", smaller_limit, &limit);
    return limit;
}

/* cpu.max is "QUOTA PERIOD" or "max PERIOD". */
static void smaller_quota(void *arg, const char *path)
{
    double *cpus = arg;
    char line[64];
    if (!first_line(line, sizeof line, path))
        return;
    char *end;
    double quota = strtod(line, &end), period = strtod(end, NULL);
    if (end != line && quota > 0 && period > 0 && quota / period < *cpus)
        *cpus = quota / period;
}

int machine_cpus(void)
{
    cpu_set_t set;
    double cpus = (double)sysconf(_SC_NPROCESSORS_ONLN);
    if (!sched_getaffinity(0, sizeof set, &set))
        cpus = CPU_COUNT(&set);
    each_cgroup("cpu", "cpu.max", smaller_quota, &cpus);
    return cpus < 1 ? 1 : (int)ceil(cpus);
}

uint64_t machine_rss(void)
{
    char line[128];
    if (!first_line(line, sizeof line, "/proc/self/statm"))
        return 0;
    char *end;
    strtoull(line, &end, 10);
    return strtoull(end, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t machine_peak_rss(void)
{
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) ? 0 : (uint64_t)u.ru_maxrss * 1024;
}

double machine_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void read_cpu(char *buf, size_t n)
{
    FILE *f = fopen("/proc/cpuinfo", "re");
    char line[512];
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "model name", 10))
            continue;
        const char *name = strchr(line, ':');
        snprintf(buf, n, "%s", name ? name + 2 : "");
        buf[strcspn(buf, "\n")] = '\0';
        break;
    }
    if (f)
        fclose(f);
}

static void read_features(char *buf, size_t n)
{
#if defined(__x86_64__) || defined(__i386__)
    static const struct {
        const char *name;
        unsigned bit;
    } all[] = {{"sse4.2", 0}, {"avx", 1}, {"avx2", 2}, {"fma", 3}, {"avx512f", 5}, {"avx512bw", 6},
        {"avx512vl", 7}};
    unsigned have = 0;
    have |= (unsigned)!!__builtin_cpu_supports("sse4.2") << 0;
    have |= (unsigned)!!__builtin_cpu_supports("avx") << 1;
    have |= (unsigned)!!__builtin_cpu_supports("avx2") << 2;
    have |= (unsigned)!!__builtin_cpu_supports("fma") << 3;
    have |= (unsigned)!!__builtin_cpu_supports("avx512f") << 5;
    have |= (unsigned)!!__builtin_cpu_supports("avx512bw") << 6;
    have |= (unsigned)!!__builtin_cpu_supports("avx512vl") << 7;
    size_t at = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (have >> all[i].bit & 1 && at < n)
            at += (size_t)snprintf(buf + at, n - at, "%s%s", at ? " " : "", all[i].name);
#else
    snprintf(buf, n, "generic");
#endif
}

void machine_read(struct machine *out)
{
    *out = (struct machine){0};
    read_cpu(out->cpu, sizeof out->cpu);
    read_features(out->features, sizeof out->features);
    struct utsname u;
    if (!uname(&u))
        snprintf(
            out->system, sizeof out->system, "%.30s %.60s %.30s", u.sysname, u.release, u.machine);
    out->cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
    out->usable = machine_cpus();
    out->ram = physical();
    out->memory = machine_memory();
    out->page = (size_t)sysconf(_SC_PAGESIZE);
}
