#include "tests/unit/app/documents.h"

#include "app/embedded.h"
#include "app/saver.h"
#include "app/session.h"
#include "model/core/machine.h"
#include "model/core/rng.h"

/* The panes of the browser on key scripts. */

/* --- The panes ------------------------------------------------------------------------------------ */

struct fake {
    struct engine base;
};

static void fake_ask(struct engine *g, const struct question *q)
{
    (void)g;
    (void)q;
}

static void fake_cancel(struct engine *g)
{
    (void)g;
}

static struct answer *fake_take(struct engine *g)
{
    (void)g;
    return NULL;
}

static void fake_state(const struct engine *g, struct engine_state *out)
{
    (void)g;
    *out = (struct engine_state){.is_busy = false};
}

struct bench {
    struct workbench wb;
    struct fake fake;
    struct canvas c;
};

static void settle(struct bench *b)
{
    for (int i = 0; i < 3; i++) {
        if (b->wb.browse)
            assert_true(io_settle(b->wb.browse->io, 20));
        workbench_poll(&b->wb);
        workbench_draw(&b->wb, &b->c);
    }
}

static void bench_open(struct bench *b, int w, int h, const char *file, const char *dataset)
{
    struct err e = {0};
    *b = (struct bench){.fake.base = {.ask = fake_ask,
                            .cancel = fake_cancel,
                            .take = fake_take,
                            .state = fake_state,
                            .wake_fd = -1}};
    assert_int_equal(canvas_init(&b->c, w, h, &e), 0);
    b->c.glyphs = GLYPHS_BRAILLE;
    assert_int_equal(workbench_init(&b->wb, &b->fake.base, "", true, &e), 0);
    browse_open(&b->wb, file, dataset);
    b->wb.browse->wait = 10;
    settle(b);
}

static void bench_close(struct bench *b)
{
    workbench_release(&b->wb);
    canvas_release(&b->c);
}

/* Keys by name, parted by blanks; "'text" types the text, ~ for a blank. */
static void keys(struct bench *b, const char *script)
{
    while (*script) {
        size_t n = strcspn(script, " ");
        struct key k = {0};
        for (size_t i = 1; *script == '\'' && i < n; i++) {
            k = (struct key){.name = {script[i] == '~' ? ' ' : script[i]}};
            k.text[0] = k.name[0];
            workbench_key(&b->wb, &k);
        }
        if (*script != '\'') {
            snprintf(k.name, sizeof k.name, "%.*s", (int)n, script);
            k.text[0] = n == 1 ? *script : '\0';
            workbench_key(&b->wb, &k);
        }
        settle(b);
        script += n;
        script += strspn(script, " ");
    }
}

static void shows(const struct bench *b, const char *text)
{
    struct buf out = {0};
    canvas_write(&out, &b->c, CANVAS_PLAIN);
    if (!strstr(out.data, text)) {
        fprintf(stderr, "%s", out.data);
        fail_msg("no \"%s\" on the screen above", text);
    }
    buf_release(&out);
}

static void reads(const struct bench *b, const char *index, int64_t k)
{
    char want[160];
    snprintf(want, sizeof want, isnan(value(k)) ? "%s: nan" : "%s: %.17g", index, value(k));
    /* The readout is the shortest text that reads back as the same number. */
    const char *readout = b->wb.panes[PANE_BLOCK].readout;
    const char *colon = strrchr(readout, ':');
    assert_int_equal(strncmp(readout, index, strlen(index)), 0);
    double got = strtod(colon ? colon + 1 : readout, NULL);
    if (!(isnan(got) && isnan(value(k))) && got != value(k))
        fail_msg("\"%s\", not %s", readout, want);
}

static void the_list_of_a_document(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 120, 40, path, NULL);
    shows(&b, "HDF5 file");
    shows(&b, "3×4×5×6×7 F64");
    shows(&b, "inner");
    keys(&b, "/ 'inn Enter");
    shows(&b, "group/inner");
    assert_int_equal(b.wb.browse->n_rows, 2);
    keys(&b, "Enter");
    shows(&b, "dim_0 90 rows");
    keys(&b, "Esc Esc G h");
    bench_close(&b);
    bench_open(&b, 120, 40, "/no/such.h5", NULL);
    shows(&b, "failed");
    bench_close(&b);
    bench_open(&b, 120, 40, path, "group/nothing");
    shows(&b, "has no dataset group/nothing");
    bench_close(&b);
}

static void what_a_pane_shows_is_what_the_file_holds(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 120, 40, path, "five");
    reads(&b, "dim_3 0, dim_4 0", 0);
    keys(&b, "j l l");
    int64_t up = b.wb.panes[PANE_BLOCK].st.at[0], right = b.wb.panes[PANE_BLOCK].st.at[1];
    assert_int_equal(up, 1);
    assert_int_equal(right, 2);
    reads(&b, "dim_3 1, dim_4 2", 9);
    keys(&b, "] ]"); /* dim_0 stands at 2 */
    reads(&b, "dim_3 1, dim_4 2", 2 * 4 * 5 * 6 * 7 + 9);
    keys(&b, "a r"); /* dim_1 as rows */
    reads(&b, "dim_1 0, dim_4 2", ((2 * 4 * 5) * 6 + 1) * 7 + 2);
    keys(&b, "t");
    reads(&b, "dim_4 2, dim_1 0", ((2 * 4 * 5) * 6 + 1) * 7 + 2);
    keys(&b, ": 'at~dim_2=4,dim_1=3,dim_4=-1 Enter");
    reads(&b, "dim_4 6, dim_1 3", (((2 * 4 + 3) * 5 + 4) * 6 + 1) * 7 + 6);
    keys(&b, ": 'at~dim_4=1:7:2 Enter");
    shows(&b, "dim_4 1:6:2 ");
    keys(&b, ": 'at~dim_4=5 Enter");
    reads(&b, "dim_4 5, dim_1 3", (((2 * 4 + 3) * 5 + 4) * 6 + 1) * 7 + 5);
    keys(&b, ": 'at~dim_4=2 Enter");
    shows(&b, "not in the slice");
    keys(&b, ": 'at~nowhere=2 Enter");
    shows(&b, "no axis");
    keys(&b, "y");
    assert_true(strtod(b.wb.copied, NULL) == value((((2 * 4 + 3) * 5 + 4) * 6 + 1) * 7 + 5));
    bench_close(&b);
}

static void aggregates_sorts_and_searches(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 120, 40, path, "flat");
    keys(&b, "s");
    double most = -1e9;
    int64_t row = 0;
    for (int64_t i = 0; i < 90; i++)
        if (value(i * 70) > most)
            most = value((row = i) * 70);
    char want[64];
    snprintf(want, sizeof want, "dim_0 %d, dim_1 0", (int)row);
    reads(&b, want, row * 70);
    keys(&b, "s s"); /* rising, then as they lie */
    reads(&b, "dim_0 0, dim_1 0", 0);
    keys(&b, "/ '>~24 Enter");
    int64_t k = 1;
    while (!(value(k) > 24))
        k++;
    snprintf(want, sizeof want, "dim_0 %d, dim_1 %d", (int)(k / 70), (int)(k % 70));
    reads(&b, want, k);
    shows(&b, "found in the plane");
    /* The next one down the cursor's column, along its row, and none where there is none. */
    for (int way = 0; way < 2; way++) {
        const int64_t y = k / 70, x = k % 70, size = way ? 70 : 90;
        int64_t at = way ? x : y;
        do
            at = (at + 1) % size;
        while (!(fabs(value(way ? y * 70 + at : at * 70 + x)) > 20));
        keys(&b, way ? "/ 'row:~|x|~>~20 Enter" : "/ 'column:~|x|~>~20 Enter");
        const struct view_state *st = &b.wb.panes[PANE_BLOCK].st;
        assert_int_equal(st->at[way], at);
        assert_int_equal(st->at[!way], way ? y : x);
        keys(&b, "N"); /* and back; there may be others on the way around */
        snprintf(want, sizeof want, ": 'at~dim_1=%d,dim_0=%d Enter", (int)x, (int)y);
        keys(&b, want);
    }
    snprintf(want, sizeof want, "no match in dim_1 %d", (int)(k % 70));
    keys(&b, "/ 'column:~>~1000 Enter");
    shows(&b, want);
    keys(&b, "/ 'nan Enter n N");
    assert_non_null(strstr(b.wb.panes[PANE_BLOCK].readout, "nan"));
    keys(&b, "/ 'word Enter");
    shows(&b, "no labels to search");
    keys(&b, "I");
    shows(&b, "all of it: n 5929");
    keys(&b, "Esc m"); /* dim_0 away: the mean of each column */
    shows(&b, "dim_0 90 mean");
    double sum = 0, n = 0;
    for (int64_t i = 0; i < 90; i++)
        if (!isnan(value(i * 70))) {
            sum += value(i * 70);
            n++;
        }
    keys(&b, "g 0 G g");
    const char *colon = strrchr(b.wb.panes[PANE_BLOCK].readout, ':');
    assert_true(fabs(strtod(colon + 1, NULL) - sum / n) < 1e-6);
    keys(&b, "m");
    shows(&b, "dim_0 90 max");
    bench_close(&b);
}

static void differences_and_large_ones(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 120, 40, path, NULL);
    browse_open(&b.wb, other, NULL);
    settle(&b);
    /* The second minus the first: ones wherever there is a number. */
    for (int i = 0; i < b.wb.browse->n_rows; i++)
        if (b.wb.browse->rows[i].node < 0 && b.wb.browse->rows[i].doc == 1)
            b.wb.browse->at = i;
    keys(&b, "m");
    shows(&b, "minus what?");
    keys(&b, "g m G");
    shows(&b, "difference");
    for (int i = 0; i < b.wb.browse->n_rows; i++) {
        const struct node *n = browse_node(b.wb.browse, &b.wb.browse->rows[i]);
        if (n && b.wb.browse->rows[i].doc == 2 && !strcmp(n->path, "flat"))
            b.wb.browse->at = i;
    }
    keys(&b, "Enter");
    shows(&b, "dim_0 0, dim_1 0: ");
    const char *colon = strrchr(b.wb.panes[PANE_BLOCK].readout, ':');
    assert_true(fabs(strtod(colon + 1, NULL) - 1) < 1e-9);
    keys(&b, "Esc g x"); /* closing the first closes what was made of it */
    assert_null(b.wb.browse->now);
    bench_close(&b);

    bench_open(&b, 120, 40, path, "big");
    keys(&b, "G $");
    shows(&b, "dim_0 2147483647, dim_1 511: 0");
    keys(&b, "g o");
    shows(&b, "the first of"); /* said, since it is a sample */
    assert_true(io_bytes(b.wb.browse->io) <= IO_BYTES);
    bench_close(&b);

    bench_open(&b, 80, 24, path, "none");
    shows(&b, "no cells");
    keys(&b, "j l G o s I m a r");
    bench_close(&b);
    bench_open(&b, 80, 24, path, "scalar");
    reads(&b, "", 0);
    keys(&b, "j l G o s I m a r t = Esc");
    bench_close(&b);
    bench_open(&b, 80, 24, path, "exact");
    shows(&b, "9223372036854775806");
    bench_close(&b);
}

static void a_file_cut_short_under_us(void **state)
{
    (void)state;
    struct bench b;
    char copy[80], command[256];
    snprintf(copy, sizeof copy, "%s.cut", path);
    snprintf(command, sizeof command, "cp %s %s", path, copy);
    assert_int_equal(system(command), 0);
    bench_open(&b, 100, 30, copy, "flat");
    assert_int_equal(truncate(copy, 4096), 0);
    keys(&b, "G $ g : 'open~ Esc");
    browse_open(&b.wb, copy, "line");
    settle(&b);
    shows(&b, "cannot");
    unlink(copy);
    bench_close(&b);
}

/* Until what is being written is there. */
static void saved(struct bench *b)
{
    const double until = machine_seconds() + 20;
    while (saver_is_busy(&b->wb) && machine_seconds() < until)
        workbench_poll(&b->wb);
    workbench_poll(&b->wb);
}

static void windows_go_to_files(void **state)
{
    (void)state;
    struct bench b;
    char csv[80], command[120], line[4096];
    snprintf(csv, sizeof csv, "%s.csv", path);
    bench_open(&b, 100, 30, path, "flat");
    snprintf(command, sizeof command, ": 'write~%s Enter", csv);
    keys(&b, command);
    saved(&b);
    FILE *f = fopen(csv, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    assert_non_null(strstr(line, "dim_0"));
    /* The cells on screen, whatever their order: as many numbers as they have, the last of them. */
    double last = 0;
    int64_t lines = 0;
    while (fgets(line, sizeof line, f)) {
        const char *comma = strrchr(line, ',');
        last = comma ? strtod(comma + 1, NULL) : NAN;
        lines++;
    }
    const struct io_window *w = &b.wb.browse->seen;
    assert_true(lines == w->nr || lines == w->nr * w->nc);
    assert_true(fabs(last - value((w->nr - 1) * 70 + w->nc - 1)) < 1e-6);
    fclose(f);
    unlink(csv);
    keys(&b, "j");
    reads(&b, "dim_0 1, dim_1 0", 70);
    bench_close(&b);
}

/* Writes the pane by `e` with a name typed over the one that is offered; the file's text. */
static void export_as(struct bench *b, const char *name, char *text, size_t n)
{
    char command[200];
    snprintf(command, sizeof command, "e '%s Enter", name);
    keys(b, command);
    saved(b);
    FILE *f = fopen(name, "r");
    if (!f)
        fail_msg("%s: %s", name, b->wb.message);
    text[fread(text, 1, n - 1, f)] = '\0';
    fclose(f);
    unlink(name);
}

/* Rows and columns of a file carry the data set's indices, however they were cut and sorted. */
static void files_say_where_they_lie(void **state)
{
    (void)state;
    struct bench b;
    char csv[80], json[80], text[65536], want[64];
    snprintf(csv, sizeof csv, "%s.csv", path);
    snprintf(json, sizeof json, "%s.json", path);
    bench_open(&b, 100, 30, path, "flat");
    keys(&b, ": 'at~dim_0=40:60,dim_1=55:58 Enter");
    export_as(&b, csv, text, sizeof text);
    assert_memory_equal(text, "dim_0,55,56,57\n40,", 18);
    export_as(&b, json, text, sizeof text);
    assert_non_null(strstr(text, "\"index\": [40, 41, 42, "));
    assert_non_null(strstr(text, "\"index\": [55, 56, 57]"));
    assert_non_null(strstr(text, "\"slice\": {\"dim_0\": \"40:60\", \"dim_1\": \"55:58\"}"));
    assert_null(strstr(text, "\"order\""));
    /* By the second column, dim_1 56: the first row is that of the largest value. */
    int64_t top = -1;
    for (int64_t r = 40; r < 60; r++)
        if (!isnan(value(r * 70 + 56)) && (top < 0 || value(r * 70 + 56) > value(top * 70 + 56)))
            top = r;
    keys(&b, ": 'sort~rows~1~falling Enter");
    settle(&b);
    export_as(&b, csv, text, sizeof text);
    snprintf(want, sizeof want, "dim_0,55,56,57\n%d,", (int)top);
    assert_memory_equal(text, want, strlen(want));
    export_as(&b, json, text, sizeof text);
    snprintf(want, sizeof want, "\"index\": [%d, ", (int)top);
    assert_non_null(strstr(text, want));
    assert_non_null(strstr(text, "\"order\": {\"rows\": \"falling by dim_1 56\"}"));
    /* Before anything was drawn the window is read for the file. */
    b.wb.browse->has_seen = false;
    export_as(&b, csv, text, sizeof text);
    snprintf(want, sizeof want, "dim_0,55,56,57\n%d,", (int)top);
    assert_memory_equal(text, want, strlen(want));
    bench_close(&b);
}

/* NAME_se beside NAME_mean: whiskers, the readout, and what goes to a file. */
static void standard_errors_come_along(void **state)
{
    (void)state;
    struct bench b;
    struct err e = {0};
    char file[96], svg[112], command[140], want[48], line[65536] = "";
    const int64_t six = 6, four = 4;
    snprintf(file, sizeof file, "%s.se.h5", path);
    snprintf(svg, sizeof svg, "%s.svg", file);
    {
        H5_AUTO int64_t h = -1;
        assert_int_equal(h5_create(&h, file, false, &e), 0);
        put(h, "gain_mean", 1, &six, 0);
        put(h, "gain_se", 1, &six, 10);
        put(h, "other", 1, &six, 0);
        put(h, "other_se", 1, &four, 0); /* of another shape */
    }
    bench_open(&b, 100, 30, file, "gain_mean");
    keys(&b, ": 'view~bars Enter j");
    shows(&b, "± standard error");
    snprintf(want, sizeof want, " ± %.3g", value(1) + 10);
    assert_non_null(strstr(b.wb.panes[PANE_BLOCK].readout, want));
    snprintf(command, sizeof command, ": 'write~%s Enter", svg);
    keys(&b, command);
    saved(&b);
    FILE *f = fopen(svg, "r");
    assert_non_null(f);
    assert_true(fread(line, 1, sizeof line - 1, f) > 0);
    fclose(f);
    assert_non_null(strstr(line, "whiskers: ± standard error"));
    unlink(svg);
    browse_open(&b.wb, file, "other");
    settle(&b);
    keys(&b, ": 'view~bars Enter");
    assert_null(strstr(b.wb.panes[PANE_BLOCK].readout, "±"));
    bench_close(&b);
    unlink(file);
}

static void every_key_on_every_dataset(void **state)
{
    (void)state;
    struct bench b;
    struct rng r;
    rng_init(&r, 11, 0);
    bench_open(&b, 80, 24, path, "five");
    for (int i = 0; i < 1500; i++) {
        static const char *const some[] = {"h", "j", "k", "l", "g", "G", "0", "$", "PgDn", "PgUp",
            "<", ">", "[", "]", "a", "A", "r", "c", "t", "s", "S", "m", "o", "I", "R", "{", "}",
            "f", "#", "V", "n", "N", "y", "Esc", "Enter", "Tab", "D", "x"};
        size_t k = rng_u64(&r) % (sizeof some / sizeof *some);
        /* Closing the only file would end the fun. */
        if (!strcmp(some[k], "x") && b.wb.focus == PANE_DOCUMENTS && i % 97)
            continue;
        struct key key = {0};
        snprintf(key.name, sizeof key.name, "%s", some[k]);
        workbench_key(&b.wb, &key);
        workbench_poll(&b.wb);
        b.wb.browse->wait = 0.001;
        workbench_draw(&b.wb, &b.c);
        if (!b.wb.in_documents || !b.wb.browse->now)
            browse_open(&b.wb, path, i % 2 ? "flat" : "line");
    }
    assert_true(io_bytes(b.wb.browse->io) <= IO_BYTES);
    bench_close(&b);
}

/* What a table shows of a plane is what its file holds: the columns that are there, and of the largest
 * rows those. */
static void tables_go_to_files(void **state)
{
    (void)state;
    struct bench b;
    char csv[80], text[65536], want[64];
    snprintf(csv, sizeof csv, "%s.csv", path);
    bench_open(&b, 100, 30, path, "flat");
    const struct pane *p = &b.wb.panes[PANE_BLOCK];
    for (int i = 0; i < 6 && strcmp(p->view->id, "table") != 0; i++)
        keys(&b, "V");
    for (int i = 0; i < 20; i++)
        keys(&b, "l");
    for (int with_top = 0; with_top < 2; with_top++) {
        const int64_t first = p->st.scroll[1], columns = p->st.columns, rows = p->st.grid.h;
        assert_true(first > 0 && columns > 2 && (rows == 10 || !with_top));
        export_as(&b, csv, text, sizeof text);
        snprintf(want, sizeof want, "dim_0,%d,", (int)first);
        assert_memory_equal(text, want, strlen(want));
        char *save, *line = strtok_r(text, "\n", &save);
        int64_t n = 0;
        double last = INFINITY;
        for (; (line = strtok_r(NULL, "\n", &save)) != NULL; n++) {
            char *at;
            const long row = strtol(line, &at, 10);
            assert_true(with_top || row == p->st.scroll[0] + n);
            for (int64_t c = 0; c < columns; c++) {
                const double v = strtod(at + 1, &at), is = value(row * 70 + first + c);
                assert_true(isnan(is) ? isnan(v) : fabs(v - is) < 1e-9);
                if (with_top && first + c == 20) {
                    assert_true(v <= last);
                    last = v;
                }
            }
            assert_int_equal(*at, '\0');
        }
        assert_int_equal(n, rows);
        keys(&b, "K");
    }
    bench_close(&b);
}

/* --- Words in their text, and what lies below a row ------------------------------------------------- */

static const char *const texts[] = {
    "When Mara and Tobin went to the harbour, Mara gave the clock to",
    "When Petra met Oren, Petra thanked Oren.", "When Nella and Silas went to the mill, Silas saw"};

/* Every word of a plane's rows in its document. */
static void rows_spell_their_texts(const struct bench *b)
{
    const struct field *f = &b->wb.panes[PANE_BLOCK].field;
    char before[400], after[400], word[64], all[900];
    assert_non_null(f->axes[0].context);
    io_frame(b->wb.browse->io, 5);
    for (int64_t i = 0; i < f->axes[0].size; i++) {
        assert_true(f->axes[0].context(&f->axes[0], i, before, after, sizeof before));
        const char *label = axis_label(&f->axes[0], i, word, sizeof word);
        bool found = false;
        snprintf(all, sizeof all, "%s%s%s", before, label, after);
        const char *text = all + (strncmp(all, " BOS ", 5) ? strncmp(all, "BOS", 3) ? 0 : 3 : 5);
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
            found = found || !strcmp(text, texts[k]);
        if (!found)
            fail_msg("row %d: \"%s\"", (int)i, all);
    }
}

static void words_come_with_their_text(void **state)
{
    (void)state;
    struct bench b;
    struct session session;
    struct err e = {0};
    char cache[80], dataset[] = "acts/blocks.3.mlp.hook_post";
    snprintf(cache, sizeof cache, "/tmp/sonde-words-%d.h5", (int)getpid());
    const char *const words[] = {"cache", "-m", "tiny", "-p", texts[0], "-p", texts[1], "-p",
        texts[2], "--filter", "3.mlp.hook_post", "-o", cache, "--overwrite", "--quiet"};
    embedded_register();
    session_init(&session);
    if (session_run(&session, (char *const *)words, sizeof words / sizeof *words, &e))
        fail_msg("%s", e.msg);
    session_release(&session);
    bench_open(&b, 80, 24, cache, dataset);
    const struct pane *p = &b.wb.panes[PANE_BLOCK];
    keys(&b, "j l l");
    assert_null(p->field.axes[0].context); /* in its own order the column of labels is the text */
    keys(&b, "s");
    rows_spell_their_texts(&b);
    const struct spec *s = b.wb.browse->now->spec;
    const int64_t row = spec_index(s, true, 0);
    char word[64], want[100];
    const char *label = axis_label(&p->field.axes[0], 0, word, sizeof word);
    snprintf(want, sizeof want, "[%s]", label + (*label == ' '));
    shows(&b, want); /* in the heatmap, and in the table */
    keys(&b, "V");
    assert_string_equal(p->view->id, "table");
    shows(&b, want);
    /* On paper, from the middle of the order: the same words in the same text. */
    char txt[100], page[20000];
    snprintf(txt, sizeof txt, "%s.txt", cache);
    keys(&b, "PgDn PgDn");
    export_as(&b, txt, page, sizeof page);
    int n_words = 0;
    for (char *save, *line = strtok_r(page, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        char *open = strchr(line, '['), *close = open ? strchr(open, ']') : NULL, part[60];
        if (!close || open - line < 14)
            continue;
        bool found = false;
        snprintf(part, sizeof part, "%.*s%.*s%.2s", 6, open - 6, (int)(close - open - 1), open + 1,
            close + 1);
        const char *words_of = part + strspn(part, " ");
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
            found = found || strstr(texts[k], words_of) || strstr(words_of, "BOS");
        if (!found && !strstr(words_of, "…"))
            fail_msg("\"%s\" is in no text", words_of);
        n_words++;
    }
    assert_true(n_words > 5);
    keys(&b, "g");
    keys(&b, "/ 'harbour Enter"); /* among labels that stand in an order, and in their own */
    assert_non_null(strstr(p->readout, "harbour"));
    assert_true(p->st.at[0] > 0);
    keys(&b, "N");
    assert_non_null(strstr(p->readout, "harbour")); /* the only one */
    keys(&b, "g s s / 'mill Enter");
    assert_non_null(strstr(p->readout, "mill"));
    keys(&b, "N g s s s K"); /* the largest of the table itself */
    rows_spell_their_texts(&b);
    keys(&b, "K K s j j Enter");
    /* The document of the third row, the column that was sorted by, that word under the cursor. */
    s = b.wb.browse->now->spec;
    assert_string_equal(p->view->id, "tokens");
    assert_int_equal(s->col, -1);
    assert_int_equal(s->at[1], 2);
    assert_true(s->cut[0].n < 40 && s->cut[0].n > 8);
    shows(&b, "When");
    shows(&b, "neuron 2 of 512");
    keys(&b, "Enter"); /* every neuron at the word */
    s = b.wb.browse->now->spec;
    assert_int_equal(s->row, 1);
    assert_string_equal(p->view->id, "bars"); /* neurons have no order to draw a line along */
    keys(&b, "Esc");
    assert_string_equal(p->view->id, "tokens");
    keys(&b, "q");
    s = b.wb.browse->now->spec;
    assert_string_equal(p->view->id, "table");
    assert_non_null(s->row_order);
    assert_int_equal(p->st.at[0], 2);
    assert_int_equal(spec_index(s, true, 0), row);
    keys(&b, "Esc");
    assert_int_equal(b.wb.focus, PANE_DOCUMENTS);
    bench_close(&b);
    snprintf(want, sizeof want, "rm -rf /tmp/sonde-words-%d.*", (int)getpid());
    assert_int_equal(system(want), 0);
}

static void wheel(struct bench *b, int slot, const char *name)
{
    const struct rect r = b->wb.panes[slot].rect;
    struct key k = {.x = r.x + r.w / 2, .y = r.y + r.h / 2};
    snprintf(k.name, sizeof k.name, "%s", name);
    workbench_key(&b->wb, &k);
    settle(b);
}

static void the_wheel_scrolls_what_it_is_over(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 120, 20, path, "flat");
    const struct view_state *st = &b.wb.panes[PANE_BLOCK].st;
    for (int i = 0; i < 10; i++)
        wheel(&b, PANE_BLOCK, "WheelDown");
    assert_true(st->at[0] == 30 && st->scroll[0] > 0);
    const int at = b.wb.browse->at;
    wheel(&b, PANE_DOCUMENTS, "WheelUp"); /* which has not the keys, and does not get them */
    assert_true(b.wb.browse->at < at);
    assert_int_equal(b.wb.focus, PANE_BLOCK);
    wheel(&b, PANE_BLOCK, "WheelUp");
    assert_int_equal(st->at[0], 27);
    bench_close(&b);
}

static void views_of_files_without_a_look(void **state)
{
    (void)state;
    struct bench b;
    struct err e = {0};
    char file[96];
    const int64_t six = 6;
    const struct {
        const char *axis, *view;
    } want[] = {{"layer", "lines"}, {"head", "bars"}, {"vocab", "bars"}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const char *names[] = {want[i].axis};
        snprintf(file, sizeof file, "%s.look.h5", path);
        {
            H5_AUTO int64_t h = -1, data = -1;
            assert_int_equal(h5_create(&h, file, false, &e), 0);
            put(h, "x", 1, &six, 0);
            data = h5_open_data(h, "x");
            assert_int_equal(h5_put_texts(data, "axis_kinds", names, 1, &e), 0);
        }
        bench_open(&b, 100, 30, file, "x");
        assert_string_equal(b.wb.panes[PANE_BLOCK].view->id, want[i].view);
        bench_close(&b);
        unlink(file);
    }
}

static void enter_goes_down_an_axis(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 120, 40, path, "five");
    keys(&b, "j j l Enter"); /* the third row, drawn along the columns' axis */
    const struct spec *s = b.wb.browse->now->spec;
    assert_true(s->row == 4 && s->col == -1 && s->at[3] == 2);
    reads(&b, "dim_4 1", 2 * 7 + 1);
    keys(&b, "Enter");
    shows(&b, "nothing lies below it");
    keys(&b, "Esc");
    reads(&b, "dim_3 2, dim_4 1", 2 * 7 + 1);
    /* From the outer axes inwards. */
    keys(&b, ": 'at~dim_0=rows,dim_1=columns,dim_3=2,dim_4=3,dim_2=1,dim_0=2 Enter");
    keys(&b, "Enter l Enter");
    s = b.wb.browse->now->spec;
    assert_true(s->row == 3 && s->col == 4 && s->at[0] == 2 && s->at[2] == 1);
    reads(&b, "dim_3 2, dim_4 3", ((((2 * 4 + s->at[1]) * 5 + 1) * 6) + 2) * 7 + 3);
    keys(&b, "Esc Esc");
    s = b.wb.browse->now->spec;
    assert_true(s->row == 0 && s->col == 1);
    for (int i = 0; i < 40; i++) /* no depth is too much */
        keys(&b, "Enter r");
    keys(&b, "Esc q Esc q Esc");
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_list_of_a_document),
        cmocka_unit_test(what_a_pane_shows_is_what_the_file_holds),
        cmocka_unit_test(aggregates_sorts_and_searches),
        cmocka_unit_test(differences_and_large_ones),
        cmocka_unit_test(a_file_cut_short_under_us),
        cmocka_unit_test(windows_go_to_files),
        cmocka_unit_test(files_say_where_they_lie),
        cmocka_unit_test(standard_errors_come_along),
        cmocka_unit_test(tables_go_to_files),
        cmocka_unit_test(words_come_with_their_text),
        cmocka_unit_test(enter_goes_down_an_axis),
        cmocka_unit_test(views_of_files_without_a_look),
        cmocka_unit_test(the_wheel_scrolls_what_it_is_over),
        cmocka_unit_test(every_key_on_every_dataset),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
