#include <locale.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "app/embedded.h"
#include "app/session.h"
#include "app/settings.h"
#include "app/signals.h"
#include "model/core/linalg.h"

/* What mends a wrong setting, or has no need of any: help and sonde config. */
static bool goes_without_settings(char **argv, int n)
{
    static const char *const words[] = {"config", "help", "man"};
    for (int i = 1; i < n; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h") || !strcmp(argv[i], "--version"))
            return true;
    for (size_t i = 0; n > 1 && i < sizeof words / sizeof *words; i++)
        if (!strcmp(argv[1], words[i]))
            return true;
    return false;
}

int main(int argc, char **argv)
{
    struct session s;
    struct err e = {0};
    setlocale(LC_CTYPE, "");
    /* Large pieces apart from the heap, whatever was freed before: what lives long fills the holes that
     * they leave there, and a run grows with every input. */
    mallopt(M_MMAP_THRESHOLD, 128 << 10);
    signals_install();
    linalg_prepare();
    embedded_register();
    session_init(&s);
    int rc = settings_load(&e);
    if (rc && goes_without_settings(argv, argc)) {
        fprintf(stderr, "sonde: %s\n", e.msg);
        rc = 0;
    }
    if (!rc)
        rc = session_run(&s, argv + 1, argc > 0 ? argc - 1 : 0, &e);
    session_release(&s);
    settings_release();
    if (rc < 0)
        fprintf(stderr, "sonde: %s\n", e.msg);
    return rc < 0 ? -rc : rc;
}
