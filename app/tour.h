#ifndef SONDE_APP_TOUR_H
#define SONDE_APP_TOUR_H

#include <stdbool.h>

struct workbench;
struct canvas;
struct key;

/* Five keys in a minute: shown on the first start, once. Keys do what they always do; the tour watches
 * for the one it asks for. */
void tour_start(struct workbench *wb);
void tour_first(struct workbench *wb); /* unless it has been seen, as the state file knows */
/* Before the workbench takes the key: true where it was the tour's own (q leaves it). */
bool tour_takes(struct workbench *wb, const struct key *k);
void tour_after(struct workbench *wb, const struct key *k);
/* What it takes of a screen, above the footer: the panes do without, so that it covers nothing. Where
 * they would get too little it goes without its frame, and asks in the footer. 0: no tour. */
int tour_rows(const struct workbench *wb, int w, int h);
void tour_draw(struct workbench *wb, struct canvas *c);

#endif
