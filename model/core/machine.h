#ifndef SONDE_CORE_MACHINE_H
#define SONDE_CORE_MACHINE_H

#include <stddef.h>
#include <stdint.h>

/* Facts about the machine and this process. Unknown numbers are 0, unknown texts empty. */
struct machine {
    char cpu[128];      /* "AMD EPYC 7763 64-Core Processor" */
    char features[128]; /* those the kernels care for: "avx2 fma avx512f" */
    char system[128];   /* "Linux 6.1.0 x86_64" */
    int cores;          /* online */
    int usable;         /* by affinity and cgroup quota, at least 1 */
    uint64_t ram;       /* physical bytes */
    uint64_t memory;    /* the smaller of ram and the cgroup's limit */
    size_t page;        /* bytes */
};

void machine_read(struct machine *out);
uint64_t machine_memory(void); /* bytes this process may use: RAM or the cgroup's limit */
int machine_cpus(void);        /* processors this process may use */
uint64_t machine_rss(void);    /* resident bytes now */
uint64_t machine_peak_rss(void);
double machine_seconds(void); /* monotonic */

#endif
