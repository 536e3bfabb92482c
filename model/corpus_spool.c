#include "model/corpus_spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/core/json.h"
#include "model/core/stream.h"

#define PIECE ((size_t)1 << 20)       /* bytes of text that meet the tokenizer at once */
#define UNCUT_MAX ((size_t)512 << 20) /* of a text that has no place to cut at */
#define BUFFER ((size_t)256 << 10)

/* A file without a name: it goes with the process, however that ends. */
struct tail {
    int fd;
    uint64_t size; /* buffered bytes included */
    unsigned char *buf;
    size_t n;
};

/* As they lie in the files. */
struct token {
    int32_t id, unused;
    int64_t begin, end;
};

struct document {
    int64_t token_at, n, text_at, text_n, row, window, bos;
};

/* Where a shard begins: its first window, as document and window within it. */
struct start {
    int64_t row, window, document, within;
};

struct spool {
    struct spool_opts o;
    const struct tokenizer *t;
    struct tail tokens, documents, texts;
    struct document now; /* the one being read */
    struct hash *hash_tokens, *hash_texts;
    struct start *shard; /* [shards + 1] */
    int64_t cap_shards, now_row;
    struct spool_totals totals;
    struct arena arena;
    const struct stream *source; /* for progress */
};

/* ---- files ---- */

static int tail_open(struct tail *f, const char *folder, struct err *e)
{
    char path[4200];
    f->buf = malloc(BUFFER);
    if (!f->buf)
        return err_set(e, ERR_LIMIT, "out of memory");
    f->fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (f->fd >= 0)
        return 0;
    snprintf(path, sizeof path, "%.4096s/.tokens-XXXXXX", folder);
    f->fd = mkostemp(path, O_CLOEXEC);
    if (f->fd < 0)
        return err_set(e, ERR_OUTPUT, "cannot write in %s: %s", folder, strerror(errno));
    unlink(path);
    return 0;
}

static void tail_close(struct tail *f)
{
    if (f->fd >= 0)
        close(f->fd);
    free(f->buf);
    f->fd = -1;
}

static int tail_flush(struct tail *f, struct err *e)
{
    for (size_t done = 0; done < f->n;) {
        ssize_t got = pwrite(f->fd, f->buf + done, f->n - done, (off_t)(f->size - f->n + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return err_set(e, errno == ENOSPC || errno == EFBIG ? ERR_LIMIT : ERR_OUTPUT,
                "the tokens of the corpus cannot be kept beside the output: %s", strerror(errno));
        done += (size_t)got;
    }
    f->n = 0;
    return 0;
}

static int tail_add(struct tail *f, const void *data, size_t n, struct err *e)
{
    const unsigned char *p = data;
    while (n) {
        size_t room = BUFFER - f->n, some = n < room ? n : room;
        memcpy(f->buf + f->n, p, some);
        f->n += some;
        f->size += some;
        p += some;
        n -= some;
        if (f->n == BUFFER && tail_flush(f, e))
            return e->code;
    }
    return 0;
}

static int tail_read(void *out, const struct tail *f, uint64_t at, size_t n, struct err *e)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(f->fd, (char *)out + done, n - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return err_set(e, ERR_OUTPUT, "the tokens of the corpus cannot be read back: %s",
                got ? strerror(errno) : "the file is short");
        done += (size_t)got;
    }
    return 0;
}

/* ---- windows ---- */

static int64_t room_of(const struct spool *s, bool bos)
{
    return s->o.window - bos;
}

static int64_t stride_of(const struct spool *s, bool bos)
{
    return s->o.stride ? s->o.stride : room_of(s, bos);
}

static int64_t windows_of(const struct spool *s, int64_t n, bool bos)
{
    int64_t room = room_of(s, bos), stride = stride_of(s, bos);
    return n <= room ? n > 0 : 1 + (n - room + stride - 1) / stride;
}

/* Window k of a document: its first token, their number, and how many an earlier window has stored. */
struct cut {
    int64_t start, n, skip;
};

static struct cut cut_of(const struct spool *s, int64_t n, bool bos, int64_t k)
{
    int64_t room = room_of(s, bos), stride = stride_of(s, bos), start = k * stride;
    return (struct cut){start, n - start < room ? n - start : room, k ? room - stride : 0};
}

static int64_t stored_of(const struct cut *c, bool bos)
{
    return bos + c->n - c->skip;
}

static int64_t row_in_document(const struct spool *s, bool bos, int64_t k)
{
    return k ? bos + room_of(s, bos) + (k - 1) * (bos + stride_of(s, bos)) : 0;
}

static int add_shard(
    struct spool *s, int64_t document, int64_t within, int64_t row, int64_t window, struct err *e)
{
    if (s->totals.shards + 1 >= s->cap_shards) {
        int64_t cap = s->cap_shards ? 2 * s->cap_shards : 64;
        struct start *more = realloc(s->shard, (size_t)cap * sizeof *more);
        if (!more)
            return err_set(e, ERR_LIMIT, "out of memory (%lld shards)", (long long)cap);
        s->shard = more;
        s->cap_shards = cap;
    }
    s->shard[s->totals.shards++] = (struct start){row, window, document, within};
    return 0;
}

/* Cuts the document that ends here into windows, and the windows into shards. */
static int place(struct spool *s, const struct document *d, struct err *e)
{
    int64_t count = windows_of(s, d->n, d->bos), row = d->row;
    for (int64_t k = 0; k < count; k++) {
        struct cut c = cut_of(s, d->n, d->bos, k);
        int64_t stored = stored_of(&c, d->bos);
        bool full = s->totals.shards &&
                    row + stored - s->shard[s->totals.shards - 1].row > s->o.shard_tokens;
        if ((full || !s->totals.shards) &&
            add_shard(s, s->totals.documents, k, row, s->totals.windows + k, e))
            return e->code;
        row += stored;
        s->totals.computed += c.n + d->bos;
        s->totals.longest = c.n + d->bos > s->totals.longest ? c.n + d->bos : s->totals.longest;
        s->totals.squares += (double)(c.n + d->bos) * (double)(c.n + d->bos);
    }
    s->totals.rows = row;
    s->totals.windows += count;
    return 0;
}

/* ---- documents ---- */

static void begin_document(struct spool *s, bool bos)
{
    s->now = (struct document){.token_at = s->totals.tokens,
        .text_at = (int64_t)s->texts.size,
        .row = s->totals.rows,
        .window = s->totals.windows,
        .bos = bos};
}

static int end_document(struct spool *s, struct err *e)
{
    struct document *d = &s->now;
    s->totals.tokens += d->n;
    s->totals.no_text += d->text_n < 0 && d->bos;
    if (place(s, d, e) || tail_add(&s->documents, d, sizeof *d, e))
        return e->code;
    hash_add_u64(s->hash_tokens, (uint64_t)d->n);
    hash_add_u64(s->hash_tokens, (uint64_t)d->bos);
    s->totals.documents++;
    d->n = 0; /* counted */
    return 0;
}

static bool is_full(const struct spool *s)
{
    return s->o.max_tokens && s->totals.tokens + s->now.n >= s->o.max_tokens;
}

static int add_token(struct spool *s, int64_t id, int64_t begin, int64_t end, struct err *e)
{
    if (is_full(s)) {
        s->totals.cut = true;
        return 0;
    }
    if (id < 0 || id >= s->o.vocab)
        return err_set(e, ERR_USAGE, "the id %lld is outside the vocabulary of %lld", (long long)id,
            (long long)s->o.vocab);
    struct token t = {(int32_t)id, 0, begin, end};
    hash_add(s->hash_tokens, &t, sizeof t);
    s->now.n++;
    return tail_add(&s->tokens, &t, sizeof t, e);
}

/* Bytes [base, base + n) of the document become tokens. */
static int encode(struct spool *s, const char *text, size_t n, int64_t base, struct err *e)
{
    struct arena_mark mark = arena_mark(&s->arena);
    struct encoding x;
    unsigned flags = (s->o.parse_special ? ENCODE_SPECIAL : 0u) | (base ? ENCODE_NO_PREFIX : 0u);
    int rc = tokenizer_encode(&x, s->t, text, n, flags, &s->arena, e);
    for (int64_t i = 0; i < x.n && !rc; i++)
        rc = add_token(s, x.ids[i], base + x.begin[i], base + x.end[i], e);
    if (!rc)
        s->totals.invalid += x.invalid;
    arena_rewind(&s->arena, mark);
    if (!rc && s->o.progress) {
        uint64_t size = s->source ? stream_size(s->source) : 0;
        if (s->o.progress(s->o.progress_arg, size ? (double)stream_in(s->source) : 0,
                size ? (double)size : 1))
            return err_set(e, ERR_CANCEL, "interrupted");
    }
    return rc;
}

/* The text is kept as long as it is not too long; HDF5's strings end at a NUL, which becomes a blank. */
static int keep_text(struct spool *s, const char *text, size_t n, struct err *e)
{
    struct document *d = &s->now;
    hash_add(s->hash_texts, text, n);
    if (d->text_n < 0)
        return 0;
    if ((size_t)d->text_n + n > s->o.text_max) {
        d->text_n = -1;
        return 0;
    }
    d->text_n += (int64_t)n;
    while (n) {
        const char *nul = memchr(text, 0, n);
        size_t some = nul ? (size_t)(nul - text) : n;
        if (tail_add(&s->texts, text, some, e) || (nul && tail_add(&s->texts, " ", 1, e)))
            return e->code;
        text += some + (nul != NULL);
        n -= some + (nul != NULL);
    }
    return 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* The last place where a text may be cut without changing its tokens: before the blanks behind a
 * character of ASCII that is none. Words never reach across it, and it is outside any character. */
static size_t last_cut(const char *s, size_t n)
{
    for (size_t i = n; i-- > 1;)
        if (is_blank(s[i]) && s[i - 1] > ' ' && s[i - 1] < 0x7f)
            return i;
    return 0;
}

static int add_document(struct spool *s, const char *text, size_t n, struct err *e)
{
    bool may_cut = tokenizer_cuts_at_blanks(s->t);
    int rc = 0;
    begin_document(s, s->o.bos >= 0);
    for (size_t at = 0; at < n && !rc && !is_full(s);) {
        size_t some = n - at;
        if (some > PIECE && may_cut) {
            size_t cut = last_cut(text + at, PIECE);
            some = cut ? cut : some;
        }
        rc = keep_text(s, text + at, some, e);
        if (!rc)
            rc = encode(s, text + at, some, (int64_t)at, e);
        at += some;
    }
    return rc ? rc : end_document(s, e);
}

int spool_text(struct spool *s, const char *text, size_t n, struct err *e)
{
    if (!s->t)
        return err_set(e, ERR_INPUT,
            "the model has no tokenizer files, so text cannot be read; "
            "give --tokens");
    if (is_full(s)) {
        s->totals.cut = true;
        return 0;
    }
    return add_document(s, text, n, e);
}

int spool_ids(struct spool *s, const int32_t *ids, int64_t n, struct err *e)
{
    if (is_full(s)) {
        s->totals.cut = true;
        return 0;
    }
    begin_document(s, false);
    s->now.text_n = -1;
    for (int64_t i = 0; i < n; i++)
        if (add_token(s, ids[i], 0, 0, e))
            return e->code;
    return end_document(s, e);
}

/* A file of any length as one document: what stands before the last place to cut goes on. */
static int whole_file(struct spool *s, struct stream *in, const char *path, struct err *e)
{
    bool may_cut = tokenizer_cuts_at_blanks(s->t), ends = false;
    size_t have = 0, room = 2 * PIECE, least = PIECE;
    int64_t base = 0, got = 0;
    char *buf = malloc(room);
    int rc = buf ? 0 : err_set(e, ERR_LIMIT, "out of memory");
    begin_document(s, s->o.bos >= 0);
    while (!rc && !ends && !is_full(s)) {
        while (have < least && (got = stream_read(buf + have, in, least - have, e)) > 0)
            have += (size_t)got;
        ends = have < least;
        size_t cut = ends ? have : may_cut ? last_cut(buf, have) : 0;
        if (got < 0) {
            rc = (int)got;
        } else if (cut || ends) {
            rc = keep_text(s, buf, cut, e);
            if (!rc && cut)
                rc = encode(s, buf, cut, base, e);
            base += (int64_t)cut;
            have -= cut;
            memmove(buf, buf + cut, have);
            least = have + PIECE;
        } else {
            least = have + PIECE;
            if (least > UNCUT_MAX)
                rc = err_set(e, ERR_LIMIT,
                    "%s: %zu MB of text without a blank to cut at; make it a .jsonl of documents",
                    path, UNCUT_MAX >> 20);
        }
        if (!rc && least > room) {
            char *more = realloc(buf, room = 2 * least);
            rc = more ? 0 : err_set(e, ERR_LIMIT, "%s: out of memory (%zu MB)", path, room >> 20);
            buf = more ? more : buf;
        }
    }
    free(buf);
    return rc ? rc : end_document(s, e);
}

static int json_line(struct spool *s, const char *line, size_t n, const char *where, struct err *e)
{
    struct js *doc;
    size_t len;
    if (n >= 3 && !memcmp(line, "\xef\xbb\xbf", 3)) {
        line += 3; /* a byte order mark */
        n -= 3;
    }
    int rc = js_parse(&doc, line, n, 0, where, e);
    if (rc)
        return rc;
    const char *text = js_string(js_get(doc, "text"), &len);
    rc = text ? spool_text(s, text, len, e)
              : err_set(e, ERR_INPUT, "%s has no string \"text\"", where);
    js_release(&doc);
    return rc;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

static int read_lines(
    struct spool *s, struct stream *in, const char *path, bool json, struct err *e)
{
    const char *line;
    size_t n;
    int rc = 0;
    while (!rc && !is_full(s) && (rc = stream_line(&line, &n, in, 0, e)) > 0) {
        char where[300];
        snprintf(where, sizeof where, "%.200s line %lld", path, (long long)stream_lines(in));
        rc = 0;
        if (n && !(json && strspn(line, " \t") == n))
            rc = json ? json_line(s, line, n, where, e) : spool_text(s, line, n, e);
    }
    return rc;
}

int spool_file(struct spool *s, const char *path, struct err *e)
{
    static const char *const ends[] = {".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson"};
    bool json = false;
    struct stream *in;
    if (!s->t)
        return spool_text(s, "", 0, e);
    if (is_full(s)) {
        s->totals.cut = true;
        return 0;
    }
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        json |= ends_with(path, ends[i]);
    int rc = stream_open(&in, path, e);
    if (rc)
        return rc;
    s->source = in;
    rc = json || s->o.lines ? read_lines(s, in, path, json, e) : whole_file(s, in, path, e);
    s->source = NULL;
    stream_release(&in);
    return rc;
}

/* ---- from the first to the last ---- */

static int check(const struct spool_opts *o, struct err *e)
{
    bool bos = o->bos >= 0;
    if (o->window < 1 + bos)
        return err_set(e, ERR_USAGE, "--window %lld holds no token%s; give %d or more",
            (long long)o->window, bos ? " behind its BOS" : "", 1 + bos);
    if (o->stride < 0 || o->stride > o->window - bos)
        return err_set(e, ERR_USAGE,
            "--stride %lld would step over tokens: a window of %lld holds %lld beside its BOS",
            (long long)o->stride, (long long)o->window, (long long)(o->window - bos));
    if (o->shard_tokens < o->window)
        return err_set(e, ERR_USAGE, "a shard of %lld tokens does not hold a window of %lld",
            (long long)o->shard_tokens, (long long)o->window);
    return 0;
}

int spool_create(
    struct spool **out, const struct spool_opts *o, const struct tokenizer *t, struct err *e)
{
    *out = NULL;
    if (check(o, e))
        return e->code;
    struct spool *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_LIMIT, "out of memory");
    s->o = *o;
    s->t = t;
    s->tokens.fd = s->documents.fd = s->texts.fd = -1;
    int rc = hash_create(&s->hash_tokens, e);
    if (!rc)
        rc = hash_create(&s->hash_texts, e);
    if (!rc)
        rc = tail_open(&s->tokens, o->folder, e);
    if (!rc)
        rc = tail_open(&s->documents, o->folder, e);
    if (!rc)
        rc = tail_open(&s->texts, o->folder, e);
    if (rc)
        spool_release(&s);
    *out = s;
    return rc;
}

void spool_release(struct spool **p)
{
    struct spool *s = *p;
    if (!s)
        return;
    tail_close(&s->tokens);
    tail_close(&s->documents);
    tail_close(&s->texts);
    hash_release(&s->hash_tokens);
    hash_release(&s->hash_texts);
    arena_release(&s->arena);
    free(s->shard);
    free(s);
    *p = NULL;
}

int spool_finish(struct spool *s, struct err *e)
{
    char both[2][HASH_HEX];
    if (!s->totals.tokens)
        return err_set(e, ERR_INPUT, "the corpus holds no text");
    s->totals.text_bytes = s->texts.size;
    hash_hex(both[0], s->hash_tokens);
    hash_hex(both[1], s->hash_texts);
    hash_hex_of(s->totals.hash, both, sizeof both);
    s->shard[s->totals.shards] =
        (struct start){s->totals.rows, s->totals.windows, s->totals.documents, 0};
    arena_release(&s->arena);
    int rc = tail_flush(&s->tokens, e);
    if (!rc)
        rc = tail_flush(&s->documents, e);
    return rc ? rc : tail_flush(&s->texts, e);
}

const struct spool_totals *spool_totals(const struct spool *s)
{
    return &s->totals;
}

void spool_shard(struct spool_shard *out, const struct spool *s, int64_t i)
{
    const struct start *a = &s->shard[i], *b = a + 1;
    bool last = i + 1 == s->totals.shards;
    *out = (struct spool_shard){.row_begin = a->row,
        .row_end = b->row,
        .window_begin = a->window,
        .window_end = b->window,
        .document_begin = a->document,
        .document_end = last ? s->totals.documents : b->document + (b->within > 0),
        .text_begin = i ? a->document + (a->within > 0) : 0};
    /* Documents without tokens in front of the first window belong to the first shard. */
    if (!i)
        out->document_begin = 0;
}

int spool_document(struct spool_document *out, const struct spool *s, int64_t i, struct err *e)
{
    struct document d;
    int rc = tail_read(&d, &s->documents, (uint64_t)i * sizeof d, sizeof d, e);
    if (rc)
        return rc;
    int64_t windows = windows_of(s, d.n, d.bos);
    *out = (struct spool_document){.row_begin = d.row,
        .row_end = d.row + d.n + windows * d.bos,
        .window_begin = d.window,
        .n = d.n,
        .text_n = d.text_n,
        .token_at = d.token_at,
        .text_at = d.text_at,
        .bos = d.bos};
    return 0;
}

int spool_read_text(char *out, const struct spool *s, const struct spool_document *d, struct err *e)
{
    return tail_read(out, &s->texts, (uint64_t)d->text_at, (size_t)d->text_n, e);
}

/* The document that the next window belongs to; those without tokens are passed over. */
static int find_document(
    struct spool_cursor *c, const struct spool *s, int64_t window, int64_t *within, struct err *e)
{
    while (!c->is_open || window - c->doc.window_begin >= windows_of(s, c->doc.n, c->doc.bos)) {
        if (c->is_open)
            c->document++;
        if (spool_document(&c->doc, s, c->document, e))
            return e->code;
        c->is_open = true;
    }
    *within = window - c->doc.window_begin;
    return 0;
}

int spool_next(struct spool_window *out, int32_t *tokens, int32_t *position, int64_t *begin,
    int64_t *end, struct spool_cursor *c, const struct spool *s, int64_t shard, struct err *e)
{
    const struct start *from = &s->shard[shard];
    int64_t window = from->window + c->window, k = 0;
    if (window >= from[1].window)
        return 0;
    if (!c->is_open)
        c->document = from->document;
    if (find_document(c, s, window, &k, e))
        return e->code;
    bool bos = c->doc.bos;
    struct cut cut = cut_of(s, c->doc.n, bos, k);
    *out = (struct spool_window){.index = window,
        .document = c->document,
        .row = c->doc.row_begin + row_in_document(s, bos, k),
        .n = (int32_t)(cut.n + bos),
        .stored = (int32_t)stored_of(&cut, bos),
        .bos = bos};
    struct token t[512];
    int64_t at = 0; /* among the rows stored */
    for (int64_t i = 0; i < cut.n; i++) {
        int64_t some = cut.n - i < 512 ? cut.n - i : 512;
        if (i % 512 == 0 &&
            tail_read(t, &s->tokens, (uint64_t)(c->doc.token_at + cut.start + i) * sizeof *t,
                (size_t)some * sizeof *t, e))
            return e->code;
        const struct token *one = &t[i % 512];
        tokens[bos + i] = one->id;
        if (bos && !i) {
            /* The BOS of a window stands before its first token. */
            tokens[0] = (int32_t)s->o.bos;
            if (position)
                position[0] = 0;
            if (begin)
                begin[0] = end[0] = one->begin;
            at = 1;
        }
        if (i < cut.skip || !position)
            continue;
        position[at] = (int32_t)(bos + i);
        if (begin) {
            begin[at] = one->begin;
            end[at] = one->end;
        }
        at++;
    }
    c->window++;
    return 1;
}
