#ifndef SONDE_APP_SAVE_H
#define SONDE_APP_SAVE_H

struct workbench;

/* The kinds of things that `:save` writes, parted by |, for completion and help. */
const char *save_kinds(void);

#endif
