#include <stdio.h>
#include <string.h>

#include "model/core/text.h"
#include "views/paper.h"

/* Prose: the labels of a rank-1 field, one paragraph each, wrapped at words. */

/* Bytes of the next line of at most w columns. */
static size_t wrap(const char *s, int w)
{
    size_t n = strlen(s), end = text_clip(NULL, s, n, w), at = end;
    if (end == 0)
        return n ? 1 : 0;
    if (end == n)
        return n;
    while (at > 0 && s[at] != ' ')
        at--;
    return at ? at + 1 : end;
}

static int text_lines(const struct screen *s, const struct field *f, const struct view_state *st,
    int64_t skip, bool is_drawn, enum glyphs g)
{
    int64_t line = 0, n = f->rank ? f->axes[0].size : 0;
    int w = s->rect.w > 0 ? s->rect.w : 1;
    for (int64_t i = 0; i < n; i++) {
        char number[32], safe[4096];
        const char *raw = axis_label(&f->axes[0], i, number, sizeof number), *p = safe;
        text_escape(safe, sizeof safe, raw, strlen(raw), g == GLYPHS_ASCII ? TEXT_ASCII : 0);
        do {
            size_t used = wrap(p, w);
            char piece[1024];
            snprintf(piece, sizeof piece, "%.*s",
                (int)(used < sizeof piece ? used : sizeof piece - 1), p);
            bool found = st->match && *st->match && strstr(piece, st->match);
            if (is_drawn && line >= skip && line - skip < s->rect.h)
                canvas_text(s->canvas, s->rect.x, s->rect.y + (int)(line - skip), w,
                    found ? STYLE(MATCH) : STYLE(TEXT), piece);
            line++;
            p += used;
        } while (*p);
        if (is_drawn && line - skip >= s->rect.h)
            break;
    }
    return (int)(line > INT32_MAX ? INT32_MAX : line);
}

static int text_draw(const struct screen *s, const struct view_data *d, struct view_state *st,
    char readout[VIEW_READOUT], struct err *e)
{
    DRAW_WITHIN(s);
    (void)e;
    const struct field *f = &d->fields[0];
    if (!f->rank || f->axes[0].size <= 0) {
        draw_note(s, "no text");
        return 0;
    }
    int lines = text_lines(s, f, st, 0, false, s->canvas->glyphs);
    int64_t last = lines > s->rect.h ? lines - s->rect.h : 0;
    if (st->scroll[0] > last)
        st->scroll[0] = last;
    text_lines(s, f, st, st->scroll[0], true, s->canvas->glyphs);
    if (last)
        snprintf(readout, VIEW_READOUT, "line %lld of %d", (long long)st->scroll[0] + 1, lines);
    return 0;
}

static bool text_move(const struct view_data *d, struct view_state *st, enum view_move m, int page)
{
    static const int sign[] = {[MOVE_UP] = -1, [MOVE_DOWN] = 1};
    (void)d;
    if (m == MOVE_LEFT || m == MOVE_RIGHT)
        return false;
    int64_t by = m == MOVE_UP || m == MOVE_DOWN    ? sign[m]
                 : m == MOVE_PAGE_UP               ? -page
                 : m == MOVE_PAGE_DOWN             ? page
                 : m == MOVE_HOME || m == MOVE_TOP ? -st->scroll[0]
                                                   : INT32_MAX;
    return move_index(&st->scroll[0], INT32_MAX, by);
}

#define SVG_COLUMNS 100
#define SVG_LINES 1000

static int text_svg(struct buf *out, const struct view_data *d, struct view_state *st,
    struct arena *frame, struct err *e)
{
    const struct field *f = &d->fields[0];
    int64_t n = f->rank ? f->axes[0].size : 0, lines = 0;
    struct paper p = {.out = out, .x = PAPER_LEFT, .y = PAPER_TOP, .w = SVG_COLUMNS * 7.4};
    struct tally none = {0};
    for (int pass = 0; pass < 2; pass++) {
        int64_t line = 0;
        if (pass) {
            p.h = (double)lines * 18;
            paper_open(&p, d, st, "text", &none, PAPER_LEFT, 16);
        }
        for (int64_t i = 0; i < n && line < SVG_LINES; i++) {
            char number[256];
            const char *raw = axis_label(&f->axes[0], i, number, sizeof number);
            char *safe = text_escaped(raw, strlen(raw), 0, frame, e);
            if (!safe)
                return e->code;
            do {
                size_t used = wrap(safe, SVG_COLUMNS);
                char piece[1024];
                snprintf(piece, sizeof piece, "%.*s",
                    (int)(used < sizeof piece ? used : sizeof piece - 1), safe);
                if (pass)
                    svg_text(out, p.x, p.y + (double)line * 18, SVG_START, 12, PAPER_INK, piece);
                line++;
                safe += used;
            } while (*safe && line < SVG_LINES);
        }
        lines = line;
    }
    paper_close(&p);
    return 0;
}

const struct view view_text = {
    .id = "text",
    .title = "text",
    .help = "Prose, wrapped at words. Control bytes are shown escaped.",
    .good = "Answers in sentences, and texts as they were given.",
    .looks = 1u << LOOK_TEXT,
    .min_rank = 1,
    .max_rank = 1,
    .draw = text_draw,
    .svg = text_svg,
    .move = text_move,
};
