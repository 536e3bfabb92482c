#ifndef SONDE_APP_SIGNALS_H
#define SONDE_APP_SIGNALS_H

#include <stdbool.h>

/* SIGINT and SIGTERM ask the running command to stop; a second one ends the process at once. */
void signals_install(void);
bool signals_stopped(void);
void signals_stop(void);  /* as if one had come */
void signals_clear(void); /* before the next command of a workbench; handlers stay the terminal's */

#endif
