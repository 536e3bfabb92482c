#include "app/term.h"

#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include "model/core/machine.h"
#include "model/core/text.h"

#define PASTE_MAX (1 << 20)
#define OSC52_MAX 74994 /* base64 bytes that xterm accepts */

struct term {
    struct canvas shown; /* what the terminal has */
    bool is_stale;
    enum colour_mode mode;
    enum glyphs glyphs;
    const struct theme *theme;
    char *paste;
    bool has_mouse;
    double focused_at; /* when the window got the focus: the click that did it is not meant */
};

/* Bracketed paste, mouse, alternate screen and cursor as they were; attributes off. */
static const char reset_text[] =
    "\x1b[?2004l\x1b[?1004l\x1b[?1006l\x1b[?1002l\x1b[?1000l\x1b[0m\x1b[?25h"
    "\x1b[?1l\x1b>\x1b[?1049l";
/* Bracketed paste, and word of the window's focus. */
static const char set_text[] = "\x1b[?2004h\x1b[?1004h", unset_text[] = "\x1b[?2004l\x1b[?1004l";
/* Reports of the mouse in decimal numbers: the older form ends at column 223. Terminals that do not know
 * it go on with that one, and curses reads it. */
static const char sgr_text[] = "\x1b[?1006h", no_sgr_text[] = "\x1b[?1006l";
#define KEY_SGR (KEY_MAX + 9)
static struct termios saved;
static volatile sig_atomic_t is_raw, wants_stop, wants_suspend;

/* Async-signal-safe: the sequence, the line settings, then the signal's own end. */
static void crash(int sig)
{
    if (is_raw) {
        ssize_t n = write(STDOUT_FILENO, reset_text, sizeof reset_text - 1);
        (void)n;
        tcsetattr(STDIN_FILENO, TCSANOW, &saved);
    }
    signal(sig, SIG_DFL);
    raise(sig);
}

static void stop(int sig)
{
    (void)sig;
    wants_stop = 1;
}

static void suspend(int sig)
{
    (void)sig;
    wants_suspend = 1;
}

static void catch_signals(void)
{
    static const int fatal[] = {SIGSEGV, SIGABRT, SIGFPE, SIGILL, SIGBUS, SIGQUIT};
    struct sigaction sa = {.sa_handler = stop}, old;
    sigemptyset(&sa.sa_mask);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGHUP, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    sa.sa_handler = suspend;
    sigaction(SIGTSTP, &sa, NULL);
    sa.sa_handler = crash;
    sa.sa_flags = (int)SA_RESETHAND;
    /* A handler that is already there has a use of its own: a sanitizer's, a debugger's. */
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
        if (!sigaction(fatal[i], NULL, &old) && old.sa_handler == SIG_DFL)
            sigaction(fatal[i], &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* UTF-8 if the locale says so or C.UTF-8 can be had and the terminal is known to speak it. */
static bool choose_locale(void)
{
    const char *names[] = {"LC_ALL", "LC_CTYPE", "LANG"}, *term = getenv("TERM");
    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C");
    if (!strcmp(nl_langinfo(CODESET), "UTF-8"))
        return true;
    for (int i = 0; i < 3; i++) {
        const char *v = getenv(names[i]);
        /* Asked for another charset in so many words: believed. */
        if (v && *v && strcmp(v, "C") && strcmp(v, "POSIX") && !strstr(v, "UTF-8") &&
            !strstr(v, "utf8"))
            return false;
    }
    bool speaks =
        term && (getenv("TMUX") || strstr(term, "xterm") || strstr(term, "256color") ||
                    strstr(term, "kitty") || strstr(term, "foot") || strstr(term, "tmux"));
    if (!speaks || !setlocale(LC_CTYPE, "C.UTF-8"))
        return false;
    return !strcmp(nl_langinfo(CODESET), "UTF-8");
}

static void send(const char *s)
{
    fputs(s, stdout);
    fflush(stdout);
}

static void define_keys(void)
{
    define_key("\x1b[200~", KEY_MAX + 1);
    define_key("\x1b[201~", KEY_MAX + 2);
    define_key("\x1b[1;5D", KEY_MAX + 3);
    define_key("\x1b[1;5C", KEY_MAX + 4);
    define_key("\x1b[1;5A", KEY_MAX + 5);
    define_key("\x1b[1;5B", KEY_MAX + 6);
    define_key("\x1b[I", KEY_MAX + 7);
    define_key("\x1b[O", KEY_MAX + 8);
    define_key("\x1b[<", KEY_SGR);
}

int term_open(struct term **out, const struct term_opts *o, struct err *e)
{
    struct term *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(e, ERR_LIMIT, "no memory for the screen");
    bool utf8 = choose_locale();
    tcgetattr(STDIN_FILENO, &saved);
    set_escdelay(25);
    if (!newterm(NULL, stdout, stdin)) {
        free(t);
        return err_set(e, ERR_USAGE,
            "the terminal \"%.60s\" is unknown here; set TERM, as in TERM=xterm-256color",
            getenv("TERM") ? getenv("TERM") : "");
    }
    const char *cup = tigetstr("cup");
    if (!cup || cup == (const char *)-1) {
        endwin();
        free(t);
        return err_set(e, ERR_USAGE,
            "the terminal \"%.60s\" cannot move its cursor; give a command, as in sonde run lens",
            getenv("TERM") ? getenv("TERM") : "");
    }
    if (has_colors() && start_color() == OK)
        use_default_colors();
    if (colour_mode_choose(&t->mode, o->colour, true, has_colors() && COLORS > 0 ? COLORS : 1))
        t->mode = COLOURS_NONE;
    /* Colours are what terminfo can send, whatever the environment promises. */
    if (t->mode == COLOURS_TRUE && COLORS < 1 << 24)
        t->mode = COLOURS_256;
    if (t->mode == COLOURS_256 && COLORS < 256)
        t->mode = COLOURS_16;
    if (t->mode != COLOURS_NONE && (!has_colors() || COLORS < 8))
        t->mode = COLOURS_NONE;
    t->glyphs = o->ascii || !utf8 ? GLYPHS_ASCII : GLYPHS_BRAILLE;
    raw();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    mouseinterval(0);
    term_mouse(t, !o->no_mouse);
    define_keys();
    is_raw = 1;
    catch_signals();
    send(set_text);
    t->is_stale = true;
    if (canvas_init(&t->shown, COLS, LINES, e)) {
        term_close(&t);
        return e->code;
    }
    *out = t;
    return 0;
}

void term_close(struct term **t)
{
    if (!*t)
        return;
    if ((*t)->has_mouse)
        send(no_sgr_text);
    send(unset_text);
    endwin();
    is_raw = 0;
    canvas_release(&(*t)->shown);
    free((*t)->paste);
    free(*t);
    *t = NULL;
}

void term_mouse(struct term *t, bool on)
{
    if (t->has_mouse == on)
        return;
    if (!on)
        send(no_sgr_text);
    mousemask(on ? BUTTON1_PRESSED | BUTTON4_PRESSED | BUTTON5_PRESSED : 0, NULL);
    if (on)
        send(sgr_text);
    t->has_mouse = on;
}

void term_size(const struct term *t, int *w, int *h)
{
    (void)t;
    *w = COLS;
    *h = LINES;
}

enum colour_mode term_colours(const struct term *t)
{
    return t->mode;
}

enum glyphs term_glyphs(const struct term *t)
{
    return t->glyphs;
}

void term_redraw(struct term *t)
{
    t->is_stale = true;
    clearok(curscr, TRUE);
}

void term_suspend(struct term *t)
{
    if (t->has_mouse)
        send(no_sgr_text);
    send(unset_text);
    endwin();
    is_raw = 0;
    struct sigaction dfl = {.sa_handler = SIG_DFL}, old;
    sigemptyset(&dfl.sa_mask);
    sigaction(SIGTSTP, &dfl, &old);
    raise(SIGTSTP);
    sigaction(SIGTSTP, &old, NULL);
    is_raw = 1;
    refresh();
    send(set_text);
    if (t->has_mouse)
        send(sgr_text);
    term_redraw(t);
}

static void named(struct key *k, const char *name)
{
    snprintf(k->name, sizeof k->name, "%s", name);
}

/* Everything up to the closing bracket, in UTF-8, with control bytes other than newline and tab
 * dropped: a paste is text, never commands. */
static void read_paste(struct key *k, struct term *t)
{
    size_t n = 0;
    free(t->paste);
    t->paste = malloc(PASTE_MAX);
    for (int idle = 0; t->paste && idle < 20;) {
        wint_t c;
        int rc = wget_wch(stdscr, &c);
        if (rc == ERR) {
            struct pollfd p = {STDIN_FILENO, POLLIN, 0};
            idle = poll(&p, 1, 50) > 0 ? 0 : idle + 1;
            continue;
        }
        idle = 0;
        if (rc == KEY_CODE_YES && c == KEY_MAX + 2)
            break;
        if (rc == KEY_CODE_YES && c != KEY_ENTER)
            continue;
        uint32_t cp = rc == KEY_CODE_YES || c == '\r' ? '\n' : (uint32_t)c;
        if ((cp < 0x20 && cp != '\n' && cp != '\t') || cp == 0x7f || n + 5 > PASTE_MAX)
            continue;
        n += (size_t)utf8_put(t->paste + n, cp);
    }
    if (t->paste)
        t->paste[n] = '\0';
    named(k, "Paste");
    k->paste = t->paste ? t->paste : "";
}

#define FOCUS_CLICK 0.25 /* seconds between the focus and its click */

bool term_mouse_key(struct key *k, const char *report)
{
    int button = 0, x = 0, y = 0, used = 0;
    if (sscanf(report, "%5d;%5d;%5d%n", &button, &x, &y, &used) != 3 || report[used] != 'M' ||
        report[used + 1] || button < 0 || x < 1 || y < 1)
        return false;
    button &= ~(4 | 8 | 16); /* Shift, Alt and Ctrl */
    if (button != 0 && button != 64 && button != 65)
        return false;
    *k = (struct key){.x = x - 1, .y = y - 1};
    named(k, button == 64 ? "WheelUp" : button == 65 ? "WheelDown" : "Mouse");
    return true;
}

/* What follows the introducer of a report, up to its letter. */
static bool read_sgr(struct key *k, const struct term *t)
{
    char report[32];
    size_t n = 0;
    for (int idle = 0; idle < 4 && n + 1 < sizeof report;) {
        wint_t c;
        int rc = wget_wch(stdscr, &c);
        if (rc == ERR) {
            struct pollfd p = {STDIN_FILENO, POLLIN, 0};
            idle = poll(&p, 1, 25) > 0 ? 0 : idle + 1;
            continue;
        }
        report[n++] = rc == OK && c < 0x7f ? (char)c : '?';
        if (report[n - 1] == 'M' || report[n - 1] == 'm')
            break;
    }
    report[n] = '\0';
    return term_mouse_key(k, report) &&
           !(!strcmp(k->name, "Mouse") && machine_seconds() - t->focused_at < FOCUS_CLICK);
}

static bool read_mouse(struct key *k, const struct term *t)
{
    MEVENT m;
    if (getmouse(&m) != OK)
        return false;
    if (m.bstate & BUTTON1_PRESSED && machine_seconds() - t->focused_at < FOCUS_CLICK)
        return false;
    k->x = m.x;
    k->y = m.y;
    named(k, m.bstate & BUTTON4_PRESSED   ? "WheelUp"
             : m.bstate & BUTTON5_PRESSED ? "WheelDown"
                                          : "Mouse");
    return true;
}

static const struct {
    int code;
    const char *name;
} specials[] = {{KEY_LEFT, "Left"}, {KEY_RIGHT, "Right"}, {KEY_UP, "Up"}, {KEY_DOWN, "Down"},
    {KEY_HOME, "Home"}, {KEY_END, "End"}, {KEY_PPAGE, "PgUp"}, {KEY_NPAGE, "PgDn"},
    {KEY_BTAB, "Shift-Tab"}, {KEY_ENTER, "Enter"}, {KEY_BACKSPACE, "Backspace"}, {KEY_DC, "Delete"},
    {KEY_MAX + 3, "Ctrl-Left"}, {KEY_MAX + 4, "Ctrl-Right"}, {KEY_MAX + 5, "Ctrl-Up"},
    {KEY_MAX + 6, "Ctrl-Down"}, {KEY_RESIZE, "Resize"}, {KEY_SLEFT, "Left"}, {KEY_SRIGHT, "Right"}};

static bool name_special(struct key *k, struct term *t, int code)
{
    if (code == KEY_MOUSE)
        return read_mouse(k, t);
    if (code == KEY_SGR)
        return read_sgr(k, t);
    if (code == KEY_MAX + 7 || code == KEY_MAX + 8) {
        t->focused_at = code == KEY_MAX + 7 ? machine_seconds() : t->focused_at;
        return false;
    }
    if (code == KEY_MAX + 1) {
        read_paste(k, t);
        return true;
    }
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++)
        if (specials[i].code == code) {
            named(k, specials[i].name);
            return true;
        }
    if (code >= KEY_F(1) && code <= KEY_F(12)) {
        snprintf(k->name, sizeof k->name, "F%d", code - KEY_F0);
        return true;
    }
    return false;
}

static bool name_character(struct key *k, uint32_t c)
{
    if (c == '\r' || c == '\n')
        named(k, "Enter");
    else if (c == '\t')
        named(k, "Tab");
    else if (c == 0x1b)
        named(k, "Esc");
    else if (c == 0x7f || c == 8)
        named(k, "Backspace");
    else if (c == 0)
        named(k, "Ctrl-Space");
    else if (c < 0x20)
        snprintf(k->name, sizeof k->name, "Ctrl-%c", (int)c + '@');
    else {
        k->text[utf8_put(k->text, c)] = '\0';
        named(k, c == ' ' ? "Space" : k->text);
    }
    return true;
}

static bool read_key(struct key *k, struct term *t)
{
    wint_t c;
    for (;;) {
        int rc = wget_wch(stdscr, &c);
        if (rc == ERR)
            return false;
        *k = (struct key){0};
        if (rc == KEY_CODE_YES ? name_special(k, t, (int)c) : name_character(k, (uint32_t)c))
            return true;
    }
}

static void drain(int fd)
{
    char bytes[64];
    while (read(fd, bytes, sizeof bytes) > 0) {
    }
}

int term_key(struct key *out, struct term *t, int wake_fd, int timeout_ms)
{
    if (wants_suspend) {
        wants_suspend = 0;
        term_suspend(t);
        *out = (struct key){.name = "Resize"};
        return 1;
    }
    if (wants_stop) {
        *out = (struct key){.name = "Stop"};
        return 1;
    }
    if (read_key(out, t))
        return 1;
    struct pollfd p[2] = {{STDIN_FILENO, POLLIN, 0}, {wake_fd, POLLIN, 0}};
    int n = poll(p, wake_fd >= 0 ? 2 : 1, timeout_ms);
    if (n > 0 && wake_fd >= 0 && p[1].revents & POLLIN)
        drain(wake_fd);
    if (n > 0 && p[0].revents & (POLLHUP | POLLERR | POLLNVAL))
        wants_stop = 1;
    if (wants_stop) {
        *out = (struct key){.name = "Stop"};
        return 1;
    }
    return read_key(out, t) ? 1 : 0;
}

/* curses holds a spacing character and its combining ones in a cell, nothing else: of a longer
 * cluster the first character and what combines with it is drawn. */
static void put_cell(const struct term *t, int x, int y, const struct cell *cell)
{
    wchar_t w[CCHARW_MAX + 1] = {0};
    cchar_t cc;
    size_t n = strlen(cell->text), i = 0;
    int k = 0, columns = 0;
    while (i < n && k < CCHARW_MAX) {
        uint32_t cp;
        int len = utf8_next(&cp, cell->text + i, n - i);
        int cw = len > 0 ? wcwidth((wchar_t)cp) : -1;
        if (len <= 0 || cw < 0 || (k && cw > 0))
            break;
        columns += cw;
        w[k++] = (wchar_t)cp;
        i += (size_t)len;
    }
    if (!k || columns < 1)
        w[0] = L'?', w[1] = 0, columns = 1;
    struct paint p = theme_paint(t->theme, t->mode, cell->style);
    attr_t attrs = (p.attrs & ATTR_BOLD ? A_BOLD : 0) | (p.attrs & ATTR_DIM ? A_DIM : 0) |
                   (p.attrs & ATTR_REVERSE ? A_REVERSE : 0) |
                   (p.attrs & ATTR_UNDERLINE ? A_UNDERLINE : 0);
    int pair = 0;
    if (p.fg >= 0 || p.bg >= 0) {
        int fg = p.fg, bg = p.bg;
        /* Eight colours: the bright ones are the plain ones in bold. */
        if (COLORS < 16 && fg >= 8) {
            fg -= 8;
            attrs |= A_BOLD;
        }
        if (COLORS < 16 && bg >= 8)
            bg -= 8;
        pair = alloc_pair(fg, bg);
    }
    if (setcchar(&cc, w, attrs, (short)0, pair > 0 ? &pair : NULL) != OK)
        return;
    mvadd_wch(y, x, &cc);
    for (int blank = columns; blank < cell->width; blank++)
        mvaddch(y, x + blank, ' ');
}

void term_draw(struct term *t, const struct canvas *c, int x, int y)
{
    struct err e;
    if (t->shown.w != c->w || t->shown.h != c->h || t->theme != c->theme) {
        if (canvas_resize(&t->shown, c->w, c->h, &e))
            return;
        t->is_stale = true;
        t->theme = c->theme;
    }
    if (t->is_stale)
        erase();
    for (int i = 0; i < c->w * c->h; i++) {
        const struct cell *now = &c->cells[i];
        struct cell *was = &t->shown.cells[i];
        bool same = now->width == was->width && !strcmp(now->text, was->text) &&
                    !memcmp(&now->style, &was->style, sizeof now->style);
        if (same && !t->is_stale)
            continue;
        /* The last cell of the screen would scroll it. */
        if (now->width && i / c->w < LINES && i % c->w < COLS)
            put_cell(t, i % c->w, i / c->w, now);
        *was = *now;
    }
    t->is_stale = false;
    if (x >= 0 && y >= 0) {
        curs_set(1);
        move(y, x);
    } else {
        curs_set(0);
    }
    refresh();
}

bool term_copy(struct term *t, const char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = strlen(text);
    (void)t;
    if ((n + 2) / 3 * 4 > OSC52_MAX)
        return false;
    fputs("\x1b]52;c;", stdout);
    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned)(unsigned char)text[i] << 16u;
        v |= i + 1 < n ? (unsigned)(unsigned char)text[i + 1] << 8u : 0u;
        v |= i + 2 < n ? (unsigned)(unsigned char)text[i + 2] : 0u;
        fputc(digits[v >> 18 & 63], stdout);
        fputc(digits[v >> 12 & 63], stdout);
        fputc(i + 1 < n ? digits[v >> 6 & 63] : '=', stdout);
        fputc(i + 2 < n ? digits[v & 63] : '=', stdout);
    }
    fputs("\x07", stdout);
    fflush(stdout);
    return true;
}
