#ifndef SONDE_TESTS_FUZZ_FUZZ_REPORT_H
#define SONDE_TESTS_FUZZ_FUZZ_REPORT_H

#include "analysis/report/report.h"

/* Opens a report, looks at every input, block, label and some values, and closes it. The first error
 * is the answer. */
int report_look_at(int *runs, int *blocks, const char *path, struct err *e);

#endif
