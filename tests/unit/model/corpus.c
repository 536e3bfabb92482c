#include "model/corpus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/core/stream.h"

/* Documents become sequences: packed or apart, every one behind BOS, a separator at each end. */

struct fixture {
    struct arena arena;
    struct tokenizer *t;
    int64_t bos;
    char dir[32], path[64];
};

static int setup(void **state)
{
    struct err e = {0};
    struct fixture *f = calloc(1, sizeof *f);
    char vocab[1024], merges[1024], *a, *b;
    assert_non_null(f);
    snprintf(vocab, sizeof vocab, "%s/tokens/vocab.json", getenv("SONDE_TEST_MODELS"));
    snprintf(merges, sizeof merges, "%s/tokens/merges.txt", getenv("SONDE_TEST_MODELS"));
    struct tokenizer_files files = {.where = "test"};
    assert_int_equal(stream_all(&a, &files.vocab_n, vocab, 1 << 20, &f->arena, &e), 0);
    assert_int_equal(stream_all(&b, &files.merges_n, merges, 1 << 20, &f->arena, &e), 0);
    files.vocab_json = a;
    files.merges_txt = b;
    assert_int_equal(tokenizer_open(&f->t, &files, 1 << 20, &e), 0);
    f->bos = tokenizer_special(f->t, "<|endoftext|>");
    assert_true(f->bos > 0);
    strcpy(f->dir, "/tmp/sonde-corpus-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    unlink(f->path);
    rmdir(f->dir);
    tokenizer_release(&f->t);
    arena_release(&f->arena);
    free(f);
    return 0;
}

static const char *write_text(struct fixture *f, const char *name, const char *text, size_t n)
{
    if (*f->path)
        unlink(f->path);
    snprintf(f->path, sizeof f->path, "%s/%s", f->dir, name);
    FILE *out = fopen(f->path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, n, out), n);
    fclose(out);
    return f->path;
}

static struct corpus *open_corpus(
    struct fixture *f, const char *name, const char *text, size_t n, struct corpus_opts o)
{
    struct err e = {0};
    struct corpus *c;
    const char *path = write_text(f, name, text, n);
    o.paths = &path;
    o.n_paths = 1;
    o.bos = o.separator = f->bos;
    int rc = corpus_open(&c, &o, f->t, &e);
    if (rc)
        print_error("%s\n", e.msg);
    assert_int_equal(rc, 0);
    return c;
}

/* The text of a sequence, "|" for the special token. */
static void assert_piece(struct fixture *f, const struct corpus *c, int64_t i, const char *want)
{
    int32_t ids[256];
    char got[1024];
    size_t at = 0;
    int64_t n = corpus_read(ids, c, &c->train[i]);
    assert_int_equal(n, corpus_rows(c, &c->train[i]));
    for (int64_t k = 0; k < n; k++) {
        size_t len = 1;
        const char *bytes = ids[k] == f->bos ? "|" : tokenizer_bytes(f->t, ids[k], &len);
        assert_true(at + len < sizeof got);
        memcpy(got + at, bytes, len);
        at += len;
    }
    got[at] = '\0';
    assert_string_equal(got, want);
}

#define TEXT(s) s, sizeof(s) - 1

static void packed_and_apart(void **state)
{
    struct fixture *f = *state;
    /* Bytes alone are tokens here: "x", "y", "z", "q" each one. */
    static const char text[] = "{\"text\": \"xyz\"}\n\n{\"text\": \"\"}\n{\"text\": \"qqqqq\"}\n";
    struct corpus *c = open_corpus(f, "a.jsonl", TEXT(text), (struct corpus_opts){.window = 5});
    assert_int_equal(c->documents, 2);
    assert_int_equal(c->n_train, 3);
    assert_int_equal(c->n_held, 0);
    assert_piece(f, c, 0, "|xyz|");
    assert_piece(f, c, 1, "|qqqq");
    assert_piece(f, c, 2, "|q|");
    corpus_release(&c);

    c = open_corpus(f, "a.jsonl", TEXT(text), (struct corpus_opts){.window = 7});
    assert_int_equal(c->n_train, 2);
    assert_piece(f, c, 0, "|xyz|qq");
    assert_piece(f, c, 1, "|qqq|");
    corpus_release(&c);

    c = open_corpus(
        f, "a.jsonl", TEXT(text), (struct corpus_opts){.window = 7, .by_document = true});
    assert_int_equal(c->n_train, 2);
    assert_piece(f, c, 0, "|xyz|");
    assert_piece(f, c, 1, "|qqqqq|");
    corpus_release(&c);
}

static void plain_text(void **state)
{
    struct fixture *f = *state;
    static const char text[] = "xy\nz<|endoftext|>q\xff<|endoftext|>";
    struct corpus *c =
        open_corpus(f, "a.txt", TEXT(text), (struct corpus_opts){.window = 9, .by_document = true});
    assert_int_equal(c->documents, 2);
    assert_int_equal(c->invalid, 1);
    assert_piece(f, c, 0, "|xy\nz|");
    assert_piece(f, c, 1, "|q\xef\xbf\xbd|");
    corpus_release(&c);
    c = open_corpus(f, "a.txt", TEXT("xy\nz\n"),
        (struct corpus_opts){.window = 9, .by_document = true, .lines = true});
    assert_int_equal(c->documents, 2);
    assert_piece(f, c, 1, "|z|");
    corpus_release(&c);
}

/* What is kept apart is drawn by the seed, whole documents at a time, and the hash tells. */
static void held_out(void **state)
{
    struct fixture *f = *state;
    char text[8192] = "";
    for (int i = 0; i < 300; i++)
        sprintf(text + strlen(text), "x%c%c\n", 'a' + i % 26, 'a' + i / 26);
    struct corpus_opts o = {
        .window = 9, .by_document = true, .lines = true, .held_out = 0.2, .seed = 4};
    struct corpus *a = open_corpus(f, "a.txt", text, strlen(text), o);
    struct corpus *b = open_corpus(f, "a.txt", text, strlen(text), o);
    o.seed = 5;
    struct corpus *other = open_corpus(f, "a.txt", text, strlen(text), o);
    assert_int_equal(a->n_train + a->n_held, 300);
    assert_in_range(a->n_held, 40, 80);
    assert_string_equal(a->hash, b->hash);
    assert_string_not_equal(a->hash, other->hash);
    corpus_release(&a);
    corpus_release(&b);
    corpus_release(&other);
}

static void mistakes_are_named(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *name, *text, *says;
        int64_t window;
        double held_out;
        int code;
    } cases[] = {
        {"a.jsonl", "{\"text\": \"x\"}\n{\"txt\": 1}\n", "line 2", 9, 0, ERR_INPUT},
        {"a.jsonl", "{\"text\": 3}\n", "\"text\"", 9, 0, ERR_INPUT},
        {"a.jsonl", "{\"text\": \"x\n", "line 1", 9, 0, ERR_INPUT},
        {"a.txt", "", "no text", 9, 0, ERR_INPUT},
        {"a.txt", "xyz", "kept apart", 9, 1, ERR_INPUT},
        {"a.txt", "xyz", "window", 1, 0, ERR_USAGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = {0};
        struct corpus *c;
        const char *path = write_text(f, cases[i].name, cases[i].text, strlen(cases[i].text));
        struct corpus_opts o = {.paths = &path,
            .n_paths = 1,
            .window = cases[i].window,
            .bos = f->bos,
            .separator = f->bos,
            .held_out = cases[i].held_out};
        assert_int_equal(corpus_open(&c, &o, f->t, &e), cases[i].code);
        assert_null(c);
        if (!strstr(e.msg, cases[i].says))
            print_error("%s\n", e.msg);
        assert_non_null(strstr(e.msg, cases[i].says));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(packed_and_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(plain_text, setup, teardown),
        cmocka_unit_test_setup_teardown(held_out, setup, teardown),
        cmocka_unit_test_setup_teardown(mistakes_are_named, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
