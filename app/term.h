#ifndef SONDE_APP_TERM_H
#define SONDE_APP_TERM_H

#include "views/canvas.h"

/* The terminal, and the only file that knows curses. One terminal at a time; main thread only. */
struct term;

struct term_opts {
    const char *colour; /* as --color: auto, always, never, 16, 256, truecolor */
    bool ascii, no_mouse;
};

/* What a person did. `name` is how the key table writes it: "j", "Ctrl-F", "Enter", "PgDn"; "Paste"
 * (the text is in `paste`), "Mouse" (x, y), "WheelUp", "WheelDown", "Resize", "Stop" (a signal asked
 * to end). */
struct key {
    char name[24];
    char text[16]; /* what a text field would insert, "" for none */
    int x, y;
    const char *paste; /* until the next call */
};

int term_open(struct term **out, const struct term_opts *o, struct err *e);
void term_close(struct term **t);
void term_mouse(struct term *t, bool on);
/* A report of the mouse in numbers without its introducer, "0;300;12M"; false: none that counts. */
bool term_mouse_key(struct key *k, const char *report);
void term_size(const struct term *t, int *w, int *h);
enum colour_mode term_colours(const struct term *t);
enum glyphs term_glyphs(const struct term *t);
/* Waits for a key (1), for wake_fd to be readable (0, drained) or for the time to pass (0). */
int term_key(struct key *out, struct term *t, int wake_fd, int timeout_ms);
/* Sends what changed since the last call. x, y is the text cursor, x < 0: hidden. */
void term_draw(struct term *t, const struct canvas *c, int x, int y);
void term_redraw(struct term *t); /* everything, next time: Ctrl-L */
void term_suspend(struct term *t);
/* To the clipboard by OSC 52; false: too long for terminals. */
bool term_copy(struct term *t, const char *text);

#endif
