#include <locale.h>
#include <malloc.h>
#include <stdio.h>

#include "app/embedded.h"
#include "app/session.h"
#include "app/settings.h"
#include "app/signals.h"
#include "model/core/linalg.h"

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
    if (!rc)
        rc = session_run(&s, argv + 1, argc > 0 ? argc - 1 : 0, &e);
    session_release(&s);
    settings_release();
    if (rc < 0)
        fprintf(stderr, "sonde: %s\n", e.msg);
    return rc < 0 ? -rc : rc;
}
