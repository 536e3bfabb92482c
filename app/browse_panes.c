#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/report/values.h"
#include "app/browse.h"
#include "model/core/text.h"
#include "views/number.h"

/* How the list of documents and the block pane are drawn. */

/* "4.8 GB" */
static const char *bytes_text(char *buf, size_t n, int64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double v = (double)bytes;
    int u = 0;
    for (; v >= 999.5 && u < 6; u++)
        v /= 1000;
    snprintf(buf, n, v < 10 && u ? "%.1f %s" : "%.0f %s", v, units[u]);
    return buf;
}

static const char *count_text(char *buf, size_t n, int64_t v)
{
    if (v < 1000000)
        snprintf(buf, n, "%" PRId64, v);
    else
        snprintf(
            buf, n, v < 1000000000 ? "%.4g M" : "%.4g G", (double)v / (v < 1000000000 ? 1e6 : 1e9));
    return buf;
}

/* "65536 x 3072" */
static const char *shape_text(char *buf, size_t n, const struct node *node, bool ascii)
{
    size_t at = 0;
    buf[0] = '\0';
    for (int i = 0; i < node->rank && at < n; i++)
        at += (size_t)snprintf(buf + at, n - at, "%s%" PRId64,
            !i      ? ""
            : ascii ? "x"
                    : "×",
            node->axes[i].size);
    return buf;
}

static const char *dtype_text(const struct node *n)
{
    return n->kind == NODE_TABLE     ? "table"
           : n->kind == NODE_TEXTS   ? "text"
           : n->kind == NODE_NUMBERS ? dtype_name(n->dtype)
                                     : "";
}

/* --- Documents ----------------------------------------------------------------------------------- */

/* A name too long for its room keeps both ends: blocks.3.…hook_post. */
static void draw_name(struct canvas *c, int x, int y, int w, struct style style, const char *name)
{
    size_t n = strlen(name);
    int head = w / 2, tail = w - head - 1;
    if (canvas_columns(c, name) <= w || w < 12) {
        canvas_text(c, x, y, w, style, name);
        return;
    }
    int used =
        canvas_textf(c, x, y, head, style, "%.*s", (int)text_clip(NULL, name, n, head), name);
    used += canvas_text(c, x + used, y, 1, style, c->glyphs == GLYPHS_ASCII ? "~" : "…");
    canvas_text(c, x + used, y, tail, style, name + text_clip_left(NULL, name, n, tail));
}

static void draw_row(struct workbench *wb, struct canvas *c, struct rect r, int y,
    const struct browse_row *row, bool is_cursor)
{
    struct browse *b = wb->browse;
    const struct node *n = browse_node(b, row);
    struct doc_view v;
    char name[512], right[128] = "", shape[160];
    bool ascii = c->glyphs == GLYPHS_ASCII, focused = wb->focus == PANE_DOCUMENTS;
    bool is_group = !n || n->kind == NODE_GROUP;
    int indent = n && !b->filter ? n->depth + 1 : n ? 1 : 0;
    const char *fold = !is_group                ? " "
                       : browse_is_open(b, row) ? ascii ? "-" : "▾"
                       : ascii                  ? "+"
                                                : "▸";
    struct style style = !n ? STYLE(TITLE) : is_group ? STYLE(LABEL) : STYLE(TEXT);
    if (!n && io_doc(&v, b->io, row->doc)) {
        text_escape(name, sizeof name, v.title, strlen(v.title), ascii ? TEXT_ASCII : 0);
        snprintf(right, sizeof right, "%s",
            v.is_opening ? "opening"
            : v.e.code   ? "failed"
            : *v.e.msg   ? "unfinished"
                         : v.kind);
        if (v.e.code)
            style = STYLE(ERROR);
    } else if (n) {
        const char *text = b->filter ? n->path : n->name;
        text_escape(name, sizeof name, text, strlen(text), ascii ? TEXT_ASCII : 0);
        if (n->kind == NODE_STRANGE) {
            style = STYLE(DIM);
            snprintf(right, sizeof right, "not shown");
        } else if (!is_group) {
            snprintf(right, sizeof right, "%s %s", shape_text(shape, sizeof shape, n, ascii),
                dtype_text(n));
        }
    }
    bool is_shown = b->now && n && b->now->doc == row->doc && b->now->node == row->node;
    if (is_shown)
        style = STYLE(MARK);
    int room = canvas_columns(c, right), x = r.x + indent;
    int most = r.w - indent - 2;
    /* The name first; its shape where both have room. */
    int wide = canvas_columns(c, name);
    if (room && wide + room + 2 <= most)
        canvas_right(c, r.x + r.w, y, room, STYLE(DIM), right);
    else if (room && most - room - 1 >= 12) {
        canvas_right(c, r.x + r.w, y, room, STYLE(DIM), right);
        most -= room + 1;
    }
    canvas_text(c, x, y, 1, STYLE(DIM), fold);
    draw_name(c, x + 2, y, most, style, name);
    if (is_cursor && focused)
        canvas_reverse(c, (struct rect){r.x, y, r.w, 1});
    else if (is_cursor)
        canvas_text(c, r.x + indent + (is_group ? 0 : 0), y, 1, STYLE(STRONG),
            is_group ? fold
            : ascii  ? ">"
                     : "▸");
}

/* What is known of the node under the cursor: a line each. */
static int draw_details(struct workbench *wb, struct canvas *c, struct rect r, bool counts)
{
    struct browse *b = wb->browse;
    const struct browse_row *row = &b->rows[b->at];
    const struct node *n = browse_node(b, row);
    struct doc_view v;
    char text[1200], size[32];
    int y = 0;
    size_t at = 0;
    if (!n) {
        if (!io_doc(&v, b->io, row->doc))
            return 0;
        if (v.e.code)
            return screen_wrapped(counts ? NULL : c, r, STYLE(ERROR), v.e.msg);
        snprintf(text, sizeof text, "%s, %d object%s%s", v.kind, v.n_nodes, text_s(v.n_nodes),
            v.is_walking ? ", reading on" : "");
        y += screen_wrapped(counts ? NULL : c, r, STYLE(TEXT), text);
        struct rect to = {r.x, r.y + y, r.w, r.h - y};
        if (*v.e.msg)
            y += screen_wrapped(counts ? NULL : c, to, STYLE(WARN), v.e.msg);
    } else if (n->why) {
        snprintf(text, sizeof text, n->kind == NODE_STRANGE ? "cannot be shown: %s" : "%s", n->why);
        y += screen_wrapped(
            counts ? NULL : c, r, n->kind == NODE_STRANGE ? STYLE(ERROR) : STYLE(WARN), text);
    }
    if (n && n->kind != NODE_GROUP && n->kind != NODE_STRANGE) {
        /* What is joined from other files has no bytes of its own. */
        int64_t values = node_values(n), each = (int64_t)dtype_bytes(n->dtype);
        int64_t bytes = n->bytes || n->kind != NODE_NUMBERS       ? n->bytes
                        : values < 0 || values > INT64_MAX / each ? INT64_MAX
                                                                  : values * each;
        for (int i = 0; i < n->rank && at < sizeof text; i++)
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%s %" PRId64, i ? ", " : "",
                n->axes[i].name, n->axes[i].size);
        snprintf(text + at, sizeof text - at, "%s%s%s%s, %s%s%s", at ? "; " : "", dtype_text(n),
            *n->unit ? ", " : "", n->unit, bytes_text(size, sizeof size, bytes),
            *n->storage ? ", " : "", n->storage);
        struct rect to = {r.x, r.y + y, r.w, r.h - y};
        y += screen_wrapped(counts ? NULL : c, to, STYLE(TEXT), text);
        if (*n->long_name && strcmp(n->long_name, n->name) != 0) {
            text_escape(text, sizeof text, n->long_name, strlen(n->long_name), 0);
            to = (struct rect){r.x, r.y + y, r.w, r.h - y};
            y += screen_wrapped(counts ? NULL : c, to, STYLE(TEXT), text);
        }
    }
    /* A link has nothing of its own. */
    bool is_link = n && n->kind == NODE_STRANGE && !n->rank;
    const char *about = is_link ? NULL : io_about(b->io, row->doc, row->node);
    for (; about && *about && y < r.h; y++) {
        size_t name = strcspn(about, "\t\n"), line = strcspn(about, "\n");
        char safe[600];
        if (!counts) {
            text_escape(safe, sizeof safe, about, name, 0);
            int used = canvas_text(c, r.x + 1, r.y + y, r.w / 2, STYLE(LABEL), safe) + 2;
            if (line > name) {
                text_escape(safe, sizeof safe, about + name + 1, line - name - 1, 0);
                canvas_text(c, r.x + 1 + used, r.y + y, r.w - used - 2, STYLE(DIM), safe);
            }
        }
        about += line + (about[line] == '\n');
    }
    return y;
}

static void documents_draw(struct workbench *wb, struct pane *p, struct canvas *c, struct rect in)
{
    struct browse *b = browse_of(wb);
    if (!b)
        return;
    browse_list(b);
    if (!b->n_rows) {
        struct rect below = {in.x, in.y + 1, in.w, in.h - 1};
        screen_wrapped(c, below, STYLE(DIM),
            wb->is_resumed
                ? "the reports of an earlier session are gone; J lists the lines that made "
                  "them, and Enter there runs one again; O opens a file"
                : p->class->empty);
        return;
    }
    int most = in.h / 3, y0;
    struct rect r = {in.x + 1, in.y, in.w - 2, in.h - 1};
    int details = draw_details(wb, c, (struct rect){in.x, 0, in.w, most}, true);
    details = details < most ? details : most;
    b->shown = in.h - 1 - (details ? details + 1 : 0);
    b->shown = b->shown > 1 ? b->shown : 1;
    if (b->at < b->scroll + b->shown / 3)
        b->scroll = b->at - b->shown / 3;
    if (b->at > b->scroll + b->shown - 1 - b->shown / 3)
        b->scroll = b->at - b->shown + 1 + b->shown / 3;
    if (b->scroll > b->n_rows - b->shown)
        b->scroll = b->n_rows - b->shown;
    b->scroll = b->scroll > 0 ? b->scroll : 0;
    for (int i = 0; i < b->shown && b->scroll + i < b->n_rows; i++)
        draw_row(wb, c, r, in.y + i, &b->rows[b->scroll + i], b->scroll + i == b->at);
    y0 = in.y + b->shown;
    if (details) {
        canvas_fill(c, (struct rect){in.x + 1, y0, in.w - 2, 1}, STYLE(FRAME),
            c->glyphs == GLYPHS_ASCII ? "-" : "─");
        draw_details(wb, c, (struct rect){in.x, y0 + 1, in.w, details}, false);
    }
    char size[32];
    if (b->filter)
        snprintf(p->readout, sizeof p->readout, "/%s: %d of what is there, Esc shows all",
            b->filter_text, b->n_rows);
    else
        snprintf(p->readout, sizeof p->readout, "%d of %d, %s of values kept", b->at + 1, b->n_rows,
            bytes_text(size, sizeof size, (int64_t)io_bytes(b->io)));
    canvas_text(c, in.x + 1, in.y + in.h - 1, in.w - 2, STYLE(DIM), p->readout);
}

static void go(struct browse *b, int64_t to)
{
    b->at = to < 0 ? 0 : to >= b->n_rows ? b->n_rows - 1 : (int)to;
    b->at = b->at > 0 ? b->at : 0;
}

/* Left folds, or goes to the group above; right unfolds, or opens. */
static void fold_or_leave(struct browse *b, bool is_left)
{
    const struct browse_row row = b->rows[b->at];
    const struct node *n = browse_node(b, &row);
    bool is_group = !n || n->kind == NODE_GROUP;
    if (is_group && browse_is_open(b, &row) == is_left && !b->filter) {
        browse_turn(b, &row);
        browse_list(b);
    } else if (is_left && n) {
        for (int i = b->at - 1; i >= 0; i--)
            if (b->rows[i].doc == row.doc && b->rows[i].node == n->parent) {
                b->at = i;
                break;
            }
    } else if (!is_left) {
        go(b, b->at + 1);
    }
}

static bool documents_key(struct workbench *wb, struct pane *p, const struct key *k)
{
    static const struct {
        const char *key;
        int by, page; /* rows, and pages */
    } moves[] = {{"j", 1, 0}, {"Down", 1, 0}, {"k", -1, 0}, {"Up", -1, 0}, {"Ctrl-F", 0, 1},
        {"PgDn", 0, 1}, {"Ctrl-B", 0, -1}, {"PgUp", 0, -1}, {"g", -INT32_MAX, 0},
        {"Home", -INT32_MAX, 0}, {"G", INT32_MAX, 0}, {"End", INT32_MAX, 0}, {"WheelDown", 3, 0},
        {"WheelUp", -3, 0}};
    struct browse *b = browse_of(wb);
    if (!b)
        return false;
    for (size_t i = 0; i < sizeof moves / sizeof *moves; i++)
        if (!strcmp(k->name, moves[i].key) && b->n_rows) {
            go(b, (int64_t)b->at + moves[i].by + (int64_t)moves[i].page * b->shown);
            return true;
        }
    bool left = !strcmp(k->name, "h") || !strcmp(k->name, "Left");
    if ((left || !strcmp(k->name, "l") || !strcmp(k->name, "Right")) && b->n_rows) {
        fold_or_leave(b, left);
        return true;
    }
    int clicked = !strcmp(k->name, "Mouse") ? k->y - p->rect.y - 1 : -1;
    if (clicked >= 0 && clicked < b->shown && b->scroll + clicked < b->n_rows) {
        /* A second click on the same row opens it. */
        if (b->at == b->scroll + clicked)
            act_open_node(wb, k);
        b->at = b->scroll + clicked;
        return true;
    }
    if (!strcmp(k->name, "Esc") && b->filter) {
        regex_release(&b->filter);
        browse_list(b);
        return true;
    }
    /* With a model open the documents are a page over its panes; alone they are all there is. */
    struct engine_state state;
    wb->engine->state(wb->engine, &state);
    bool leaves =
        !strcmp(k->name, "q") || (!strcmp(k->name, "Esc") && !state.is_busy && !state.has_job);
    if (leaves && wb->facts.is_open)
        workbench_choose(wb, wb->layout);
    return leaves && wb->facts.is_open;
}

static void documents_search(
    struct workbench *wb, struct pane *p, const char *pattern, int direction)
{
    struct browse *b = browse_of(wb);
    struct err e = {0};
    (void)p;
    if (!b)
        return;
    if (!pattern) {
        go(b, (int64_t)b->at + direction);
        return;
    }
    regex_release(&b->filter);
    snprintf(b->filter_text, sizeof b->filter_text, "%s", pattern);
    pattern += pattern[0] == '!';
    if (*pattern &&
        regex_compile(&b->filter, pattern, strlen(pattern), REGEX_ANY_BYTES | REGEX_ICASE, &e))
        workbench_say(wb, true, "%s", e.msg);
    browse_list(b);
    /* On the first match rather than on its document. */
    for (int i = 0; b->filter && i < b->n_rows; i++)
        if (b->rows[i].node >= 0) {
            b->at = i;
            break;
        }
}

static void no_sum(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    (void)wb;
    snprintf(buf, n, "%s", p->readout);
}

const struct pane_class pane_documents = {
    .name = "documents",
    .title = "documents",
    .help =
        "What is in the files and reports that are open: groups, datasets, their shapes and types. "
        "Any HDF5 file opens here (O), and so does the report of every command that ran.",
    .ask = ASK_COUNT,
    .empty = "no document is open: O opens a file, :run makes a report",
    .sum = no_sum,
    .search_axis = 0,
    .draw = documents_draw,
    .key = documents_key,
    .search = documents_search,
};

/* --- The block ----------------------------------------------------------------------------------- */

/* Which index of the axis across an order goes by. */
static int64_t line_of(const struct spec *s, bool is_row, int64_t by)
{
    const int across = is_row ? s->col : s->row;
    return across < 0 ? by : s->cut[across].start + by * s->cut[across].step;
}

/* "token 65536 rows falling by 3", "head 3 of 12", "layer 12 mean"; short: "head 3". */
static void axis_text(char *text, size_t n, struct browse *b, int i, bool is_short)
{
    struct spec *s = b->now->spec;
    const struct axis *a = &s->n->axes[i];
    const struct cut *cut = &s->cut[i];
    char label[64], shown[96];
    size_t at = (size_t)snprintf(text, n, is_short ? "%.16s " : "%.40s ", a->name);
    if (i == s->row || i == s->col || s->is_agg[i]) {
        bool is_cut = cut->start || cut->n != a->size;
        int64_t end = cut->start + (cut->n - 1) * cut->step + 1;
        if (cut->step > 1)
            at += (size_t)snprintf(text + at, n - at, "%" PRId64 ":%" PRId64 ":%" PRId64 " ",
                cut->start, end, cut->step);
        else if (is_cut)
            at += (size_t)snprintf(text + at, n - at, "%" PRId64 ":%" PRId64 " ", cut->start, end);
        else if (!is_short)
            at += (size_t)snprintf(text + at, n - at, "%" PRId64 " ", a->size);
        snprintf(text + at, n - at, "%s",
            i == s->row   ? "rows"
            : i == s->col ? is_short ? "cols" : "columns"
                          : agg_names[s->how]);
        const struct order *o = i == s->row ? s->row_order : i == s->col ? s->col_order : NULL;
        at = strlen(text);
        if (o && at < n && spec_is_table(s) && o->by < s->n->n_columns)
            snprintf(text + at, n - at, " %s by %.40s", o->is_falling ? "falling" : "rising",
                s->n->columns[o->by].name);
        else if (o && at < n && s->col < 0)
            snprintf(text + at, n - at, " %s", o->is_falling ? "falling" : "rising");
        else if (o && at < n) /* by which line of the other axis */
            snprintf(text + at, n - at, " %s by %" PRId64, o->is_falling ? "falling" : "rising",
                line_of(s, i == s->row, o->by));
        return;
    }
    at += (size_t)snprintf(text + at, n - at, "%" PRId64, s->at[i]);
    if (at < n && io_label(label, sizeof label, b->io, s, i, s->at[i]) == 1) {
        text_escape(shown, sizeof shown, label, strlen(label), TEXT_DOT);
        at += (size_t)snprintf(text + at, n - at, is_short ? " %.12s" : " %.40s", shown);
    }
    if (!is_short && at < n)
        snprintf(text + at, n - at, " of %" PRId64, a->size);
}

/* Every axis, one after the other; the one that keys act on is marked, and on screen if not all are. */
static void draw_axes(struct workbench *wb, struct canvas *c, struct rect r)
{
    struct browse *b = wb->browse;
    const struct spec *s = b->now->spec;
    char text[200];
    int x = r.x, width[2] = {0}, first = 0;
    for (int i = 0; i < s->n->rank; i++)
        for (int is_short = 0; is_short < 2; is_short++) {
            axis_text(text, sizeof text, b, i, is_short);
            width[is_short] += canvas_columns(c, text) + 3;
        }
    bool is_short = width[0] - 3 > r.w;
    if (is_short && width[1] - 3 > r.w)
        first = b->axis > 2 ? b->axis - 2 : 0;
    for (int i = first; i < s->n->rank && x < r.x + r.w - 2; i++) {
        bool is_own = i == b->axis && wb->focus == PANE_BLOCK;
        axis_text(text, sizeof text, b, i, is_short);
        int used = canvas_text(c, x, r.y, r.x + r.w - x, is_own ? STYLE(STRONG) : STYLE(DIM), text);
        if (is_own)
            canvas_reverse(c, (struct rect){x, r.y, used, 1});
        x += used + 3;
    }
    if (!s->n->rank)
        canvas_text(c, r.x, r.y, r.w, STYLE(DIM), "a single value");
}

static const char *number(char *buf, size_t n, double v)
{
    snprintf(buf, n, "%.4g", v);
    return buf;
}

/* "mean 0.12 std 0.5 min -3 max 34" */
static size_t put_stats(char *buf, size_t n, const struct plane_stats *s)
{
    char a[32], m[32], lo[32], hi[32], count[32];
    size_t at = (size_t)snprintf(buf, n, "n %s", count_text(count, sizeof count, s->n));
    if (s->n && at < n)
        at += (size_t)snprintf(buf + at, n - at, "  mean %s  std %s  min %s  max %s",
            number(a, sizeof a, s->mean), number(m, sizeof m, sqrt(s->m2 / (double)s->n)),
            number(lo, sizeof lo, s->min), number(hi, sizeof hi, s->max));
    if (s->nan && at < n)
        at +=
            (size_t)snprintf(buf + at, n - at, "  NaN %s", count_text(count, sizeof count, s->nan));
    if (s->inf && at < n)
        at +=
            (size_t)snprintf(buf + at, n - at, "  inf %s", count_text(count, sizeof count, s->inf));
    return at < n ? at : n - 1;
}

/* What a cell stands for, said whenever it is more than one value. */
static size_t put_rule(char *buf, size_t n, const struct browse *b)
{
    const struct io_window *w = &b->seen;
    if (!b->has_seen || (w->rs == 1 && w->cs == 1))
        return 0;
    bool is_flat = b->now->spec->col < 0;
    size_t at = b->is_sampled ? (size_t)snprintf(buf, n, "a cell: the first of ")
                              : (size_t)snprintf(buf, n, "a cell: %s of ", agg_names[w->how]);
    if (is_flat)
        at += (size_t)snprintf(buf + at, n - at, "%" PRId64, w->rs);
    else
        at += (size_t)snprintf(buf + at, n - at, "%" PRId64 " x %" PRId64, w->rs, w->cs);
    if (b->is_sampled)
        at += (size_t)snprintf(buf + at, n - at, ", R reads all");
    return at;
}

static void draw_summary(struct workbench *wb, struct canvas *c, struct rect r)
{
    struct browse *b = wb->browse;
    char text[400] = "";
    struct plane_stats s = {0};
    int x = r.x;
    size_t rule = put_rule(text, sizeof text, b);
    if (rule)
        x += canvas_text(c, x, r.y, r.w, STYLE(WARN), text) + 2;
    if (b->is_missing)
        x += canvas_text(c, x, r.y, r.x + r.w - x, STYLE(PROGRESS), "reading") + 2;
    if (!b->has_seen || spec_is_table(b->now->spec))
        return;
    stats_add(&s, b->window, b->seen.nr * b->seen.nc);
    size_t at = (size_t)snprintf(text, sizeof text, "on screen: ");
    put_stats(text + at, sizeof text - at, &s);
    canvas_text(c, x, r.y, r.x + r.w - x, STYLE(DIM), text);
}

/* Statistics of the whole plane, with a histogram of eighth blocks; returns the lines it took. */
static int draw_stats(struct workbench *wb, struct canvas *c, struct rect r)
{
    static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const plain[] = {" ", ".", ".", ":", ":", "+", "*", "#", "#"};
    struct browse *b = wb->browse;
    struct io_progress p;
    io_progress(&p, b->io);
    if (!b->has_stats || p.what != IO_STATS || r.h < 8)
        return 0;
    char text[400];
    size_t at = (size_t)snprintf(text, sizeof text, "all of it: ");
    at += put_stats(text + at, sizeof text - at, &p.stats);
    if (p.is_running)
        snprintf(text + at, sizeof text - at, "  %.0f %%, Esc stops", 100 * p.share);
    else if (p.is_cancelled)
        snprintf(text + at, sizeof text - at, "  stopped at %.0f %%", 100 * p.share);
    int y = r.y + r.h - 4;
    canvas_text(c, r.x, y, r.w, p.is_running ? STYLE(PROGRESS) : STYLE(STRONG), text);
    int first = 0, last = 127, n = (int)(sizeof p.stats.bins / sizeof *p.stats.bins);
    while (first < n && !p.stats.bins[first])
        first++;
    while (last > first && !p.stats.bins[last])
        last--;
    if (first == n)
        return 4;
    /* Bins spread over the columns there are; two lines of eighths. */
    int bins = last - first + 1, w = r.w < bins * 2 ? r.w : bins * 2;
    w = w > 2 ? w : 2;
    double *heights = arena_array(&wb->frame, (size_t)w, sizeof *heights, &(struct err){0}),
           most = 0;
    for (int k = 0; heights && k < w; k++) {
        heights[k] = (double)p.stats.bins[first + k * bins / w];
        most = heights[k] > most ? heights[k] : most;
    }
    for (int k = 0; heights && k < w; k++) {
        /* The root of the count: tails are what one looks for. */
        int eighths = most > 0 ? (int)ceil(16 * sqrt(heights[k] / most)) : 0;
        for (int line = 0; line < 2; line++) {
            int e = eighths - (line ? 0 : 8);
            e = e < 0 ? 0 : e > 8 ? 8 : e;
            canvas_text(c, r.x + k, y + 1 + line, 1, STYLE(BAR),
                c->glyphs == GLYPHS_ASCII ? plain[e] : blocks[e]);
        }
    }
    char lo[32], hi[32];
    number(lo, sizeof lo, p.stats.lo + first * p.stats.step);
    number(hi, sizeof hi, p.stats.lo + (last + 1) * p.stats.step);
    snprintf(text, sizeof text, "%s to %s, a bar %.3g wide, height: root of the count", lo, hi,
        p.stats.step * (double)bins / w);
    canvas_text(c, r.x, y + 3, r.w, STYLE(DIM), text);
    return 4;
}

/* "token 123 ·the" */
static size_t put_index(char *buf, size_t n, struct browse *b, bool is_row, int64_t i)
{
    struct spec *s = b->now->spec;
    int axis = is_row ? s->row : s->col;
    char label[64], shown[96];
    if (axis < 0)
        return 0;
    int64_t index = spec_index(s, is_row, i);
    size_t at = (size_t)snprintf(buf, n, "%.60s %" PRId64, s->n->axes[axis].name, index);
    if (at < n && io_label(label, sizeof label, b->io, s, axis, index) == 1) {
        text_escape(shown, sizeof shown, label, strlen(label), TEXT_DOT);
        at += (size_t)snprintf(buf + at, n - at, " %s", shown);
    }
    return at < n ? at : n - 1;
}

/* "row 5, name: row5", of a table */
static void put_record(struct browse *b, struct pane *p)
{
    struct spec *s = b->now->spec;
    char text[VIEW_READOUT], cell[160], shown[VIEW_READOUT];
    int64_t row = p->st.at[0], column = p->st.at[1] < s->n->n_columns ? p->st.at[1] : 0;
    const struct column *col = &s->n->columns[column];
    struct io_window w = {.r0 = row, .nr = 1, .rs = 1, .c0 = column, .nc = 1, .cs = 1};
    struct err e;
    double v = NAN;
    size_t at = put_index(text, sizeof text, b, true, row);
    if (s->n->kind == NODE_TABLE && at < sizeof text)
        at += (size_t)snprintf(text + at, sizeof text - at, ", %.60s", col->name);
    if (col->is_text) {
        io_text(cell, sizeof cell, b->io, s, row, (int)column);
        text_escape(shown, sizeof shown, cell, strlen(cell), 0);
    } else if (io_fetch(&v, b->io, s, &w, &e) < 0) {
        snprintf(shown, sizeof shown, "cannot be read");
    } else {
        exact_number(shown, sizeof shown, v, col->dtype);
    }
    if (at < sizeof text - 1)
        snprintf(text + at, sizeof text - at, ": %.120s %s", shown, col->unit ? col->unit : "");
    snprintf(p->readout, sizeof p->readout, "%s", text);
}

/* " ± 0.013": the standard error of the cell under the cursor. */
static void put_error(char *buf, size_t n, const struct pane *p)
{
    const struct field *f = p->error;
    struct window w = {.count = {1, 1}, .stride = {1, 1}};
    struct err e;
    double v = NAN;
    for (int i = 0; f && i < f->rank; i++)
        w.start[i] = p->st.at[i];
    if (f && !f->fetch(f, &v, &w, FIELD_POINT, &e) && isfinite(v))
        snprintf(buf, n, " ± %.3g", v);
}

static void put_readout(struct workbench *wb, struct pane *p)
{
    struct browse *b = wb->browse;
    struct spec *s = b->now->spec;
    struct io_cell cell;
    char text[VIEW_READOUT];
    size_t n = sizeof text, at;
    if (spec_rows(s) < 1 || spec_cols(s) < 1)
        return;
    if (spec_is_table(s)) {
        put_record(b, p);
        return;
    }
    bool known =
        io_cell(&cell, b->io, s, s->row < 0 ? 0 : p->st.at[0], s->col < 0 ? 0 : p->st.at[1]);
    at = put_index(text, n, b, true, p->st.at[0]);
    if (s->col >= 0 && at < n) {
        at += (size_t)snprintf(text + at, n - at, ", ");
        at += put_index(text + at, n - at, b, false, p->st.at[1]);
    }
    if (known && *cell.place && at < n - 1)
        at += (size_t)snprintf(text + at, n - at, " (%s)", cell.place);
    if (at >= n - 1)
        at = n - 2;
    if (s->sheet) {
        double v = NAN;
        struct err e;
        struct io_window w = {.r0 = p->st.at[0],
            .nr = 1,
            .rs = 1,
            .c0 = s->col < 0 ? 0 : p->st.at[1],
            .nc = 1,
            .cs = 1};
        io_fetch(&v, b->io, s, &w, &e);
        snprintf(cell.value, sizeof cell.value, isnan(v) ? "no value" : "%.9g", v);
        known = true;
    }
    char error[32] = "";
    put_error(error, sizeof error, p);
    snprintf(text + at, n - at, "%s%s%s %s", at ? ": " : "", known ? cell.value : "...", error,
        s->n->unit);
    snprintf(p->readout, sizeof p->readout, "%s", text);
}

static void draw_job(struct workbench *wb, struct pane *p, struct canvas *c)
{
    static const char *const names[] = {[IO_NOTHING] = "",
        [IO_STATS] = "statistics",
        [IO_AGGREGATE] = "aggregating",
        [IO_SORT_ROWS] = "sorting",
        [IO_SORT_COLS] = "sorting",
        [IO_SEARCH] = "searching"};
    struct io_progress now;
    struct rect r = p->rect;
    io_progress(&now, wb->browse->io);
    if (!now.is_running || now.seconds < 0.1)
        return;
    char text[96];
    double left = now.share > 0.02 ? now.seconds / now.share - now.seconds : -1;
    if (left >= 0)
        snprintf(text, sizeof text, " %s %.0f %%, %.0f s left, Esc cancels ", names[now.what],
            100 * now.share, left);
    else
        snprintf(text, sizeof text, " %s, Esc cancels ", names[now.what]);
    canvas_fill(c, (struct rect){r.x + 1, r.y + r.h - 1, (int)(now.share * (r.w - 2)), 1},
        STYLE(PROGRESS), c->glyphs == GLYPHS_ASCII ? "=" : "━");
    int n = canvas_columns(c, text);
    if (n + 4 < r.w)
        canvas_text(c, r.x + r.w - n - 2, r.y + r.h - 1, n, STYLE(PROGRESS), text);
}

static void block_draw(struct workbench *wb, struct pane *p, struct canvas *c, struct rect in)
{
    struct browse *b = browse_of(wb);
    struct err e = {0};
    struct view_data d;
    struct mark marks[PANE_HITS + 8];
    if (!b || !b->now) {
        canvas_text(c, in.x + 1, in.y + in.h / 2, in.w - 2, STYLE(DIM), p->class->empty);
        return;
    }
    struct spec *s = b->now->spec;
    b->has_seen = b->is_sampled = b->is_missing = false;
    struct rect r = {in.x + 1, in.y, in.w - 2, in.h - 1};
    draw_axes(wb, c, (struct rect){r.x, r.y, r.w, 1});
    r.y++;
    r.h--;
    int64_t rows = spec_rows(s), cols = spec_cols(s);
    for (int i = 0; i < s->n->rank; i++)
        if (s->n->axes[i].size < 1)
            rows = 0;
    if (rows < 1 || cols < 1) {
        canvas_text(c, r.x, r.y + r.h / 2, r.w, STYLE(DIM), "no cells: one of its axes has size 0");
        return;
    }
    r.h -= draw_stats(wb, c, r);
    bool has_summary = r.h >= 6;
    r.h -= has_summary;
    pane_data(wb, p, &d, marks);
    d.n_marks = 0;
    struct screen screen = {c, r, &wb->frame};
    struct rect old = canvas_clip(c, r);
    int rc = d.n ? p->view->draw(&screen, &d, &p->st, p->readout, &e) : 0;
    c->clip = old;
    canvas_clip(c, in);
    if (rc) {
        canvas_fill(c, r, (struct style){0}, " ");
        screen_wrapped(c, (struct rect){in.x, r.y, in.w, r.h}, STYLE(ERROR), e.msg);
        return;
    }
    if (has_summary)
        draw_summary(wb, c, (struct rect){r.x, r.y + r.h, r.w, 1});
    if (!b->is_paper)
        put_readout(wb, p);
    canvas_text(c, in.x + 1, in.y + in.h - 1, in.w - 2,
        wb->focus == p->slot ? STYLE(STRONG) : STYLE(TEXT), p->readout);
    c->clip = (struct rect){0, 0, c->w, c->h};
    draw_job(wb, p, c);
}

static bool block_data(struct workbench *wb, struct pane *p, struct arena *frame)
{
    (void)frame;
    if (p->id == PANE_BLOCK && wb->browse && wb->browse->is_paper) {
        p->error = wb->browse->has_paper_error ? &wb->browse->error : NULL;
        return p->field.rank > 0 || p->many;
    }
    return browse_field(wb->browse, p);
}

static void block_heading(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    const struct browse *b = wb->browse;
    char text[600];
    struct doc_view v;
    if (!b || !b->now || !io_doc(&v, b->io, b->now->doc)) {
        snprintf(buf, n, "%s", p->class->title);
        return;
    }
    const struct node *node = b->now->spec->n;
    text_escape(text, sizeof text, node->path, strlen(node->path), 0);
    snprintf(buf, n, "%.120s%s%.60s%s%s", text, *node->unit ? ", " : "", node->unit,
        p->view ? ", " : "", p->view ? p->view->title : "");
}

/* Another view that takes planes: any look will do for numbers. */
static void next_view(struct workbench *wb, struct pane *p)
{
    struct browse *b = wb->browse;
    const struct spec *s = b->now->spec;
    int rank = (s->row >= 0) + (s->col >= 0), at = 0;
    if (spec_is_table(s) || rank < 1) {
        workbench_say(wb, false, "only the table shows this");
        return;
    }
    while (at < n_views && views[at] != p->view)
        at++;
    for (int i = 1; i <= n_views; i++) {
        const struct view *v = views[(at + i) % n_views];
        if (!view_suits(v, &p->field) || !strcmp(v->id, "text") || !strcmp(v->id, "graph"))
            continue;
        p->view = v;
        p->st.has_axes = false;
        p->st.seen = 0;
        workbench_say(wb, false, "%s", v->title);
        return;
    }
}

static void page_across(struct workbench *wb, struct pane *p, int sign)
{
    struct browse *b = wb->browse;
    if (!b || !b->now)
        return;
    const struct spec *s = b->now->spec;
    bool flat = s->col < 0 && !spec_is_table(s);
    int64_t page = b->has_seen ? b->seen.nc * b->seen.cs : 16,
            n = flat ? spec_rows(s) : spec_cols(s);
    int64_t *at = &p->st.at[flat ? 0 : 1], to = *at + sign * (page > 1 ? page - 1 : 1);
    *at = to < 0 ? 0 : to >= n ? n - 1 : to;
}

void act_page_left(struct workbench *wb, const struct key *k)
{
    (void)k;
    page_across(wb, &wb->panes[PANE_BLOCK], -1);
}

void act_page_right(struct workbench *wb, const struct key *k)
{
    (void)k;
    page_across(wb, &wb->panes[PANE_BLOCK], 1);
}

static void copy_number(struct workbench *wb, struct pane *p)
{
    struct browse *b = wb->browse;
    struct spec *s = b->now->spec;
    struct io_cell cell = {.number = NAN};
    char text[256] = "";
    if (spec_is_table(s)) {
        const char *colon = strstr(p->readout, ": ");
        if (!io_text(text, sizeof text, b->io, s, p->st.at[0], (int)p->st.at[1]))
            snprintf(text, sizeof text, "%s", colon ? colon + 2 : p->readout);
    } else if (s->sheet) {
        const char *colon = strstr(p->readout, ": ");
        snprintf(text, sizeof text, "%.*s", (int)strcspn(colon ? colon + 2 : "", " "),
            colon ? colon + 2 : "");
    } else if (io_cell(
                   &cell, b->io, s, s->row < 0 ? 0 : p->st.at[0], s->col < 0 ? 0 : p->st.at[1])) {
        snprintf(text, sizeof text, "%s", cell.value);
    }
    if (!*text)
        return;
    free(wb->copied);
    wb->copied = strdup(text);
    workbench_say(wb, false, "copied: %s", text);
}

static bool block_key(struct workbench *wb, struct pane *p, const struct key *k)
{
    struct browse *b = wb->browse;
    struct io_progress now;
    if (!b || !b->now)
        return false;
    io_progress(&now, b->io);
    if (!strcmp(k->name, "Esc") && now.is_running) {
        io_cancel(b->io);
    } else if (!strcmp(k->name, "Esc") && b->has_stats) {
        b->has_stats = false;
    } else if (!strcmp(k->name, "Esc") || !strcmp(k->name, "q")) {
        if (browse_rise(wb))
            return true;
        if (b->is_visit && workbench_can_leave(wb))
            workbench_back(wb);
        else
            workbench_focus(wb, PANE_DOCUMENTS);
    } else if (!strcmp(k->name, "V")) {
        next_view(wb, p);
    } else if (!strcmp(k->name, "y")) {
        copy_number(wb, p);
    } else {
        return false;
    }
    return true;
}

static void block_search(struct workbench *wb, struct pane *p, const char *pattern, int direction)
{
    (void)p;
    browse_find(wb, pattern, direction);
}

const struct pane_class pane_block = {
    .name = "block",
    .title = "block",
    .help =
        "Any plane of any dataset: choose the axes that are rows and columns, fix the others, or "
        "aggregate them away. Only what is on screen is read, so files may be larger than memory.",
    .view = "heatmap",
    .ask = ASK_COUNT,
    .empty = "no dataset is open: Enter in the list opens one",
    .search_hint = "word, > 3, |x| > 3, = 0, nan; ! not; column: or row: only there",
    .data = block_data,
    .heading = block_heading,
    .sum = no_sum,
    .search_axis = 0,
    .draw = block_draw,
    .key = block_key,
    .search = block_search,
    .paper = browse_paper,
};
