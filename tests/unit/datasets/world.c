#include "datasets/dataset.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "datasets/embedded.h"
#include "datasets/smallworld.h"
#include "model/core/hash.h"
#include "model/core/json.h"

static void make(struct items *out, const char *spec, uint64_t seed, struct arena *arena)
{
    const struct dataset *d;
    struct dataset_opts o = {.seed = seed, .bos_id = 0, .vocab = 3000, .n_ctx = 64};
    struct err e = {0};
    assert_int_equal(dataset_parse(&d, &o.n, spec, &e), 0);
    assert_int_equal(dataset_make(out, d, &o, arena, &e), 0);
}

static void hash_of(char out[HASH_HEX], const char *spec, uint64_t seed)
{
    struct arena arena = {0};
    struct items items;
    struct js_out w = {0};
    struct err e = {0};
    make(&items, spec, seed, &arena);
    for (int64_t i = 0; i < items.n; i++) {
        item_json(&w, &items.list[i]);
        js_out_newline(&w);
    }
    assert_int_equal(js_out_done(&w, &e), 0);
    hash_hex_of(out, w.data, w.n);
    js_out_release(&w);
    arena_release(&arena);
}

/* The embedded model was trained on these very bytes: whoever changes them must train it again. */
static void seed_gives_the_same_bytes(void **state)
{
    (void)state;
    char hash[HASH_HEX], again[HASH_HEX], other[HASH_HEX];
    hash_of(hash, "world:500", 1);
    hash_of(again, "world:500", 1);
    hash_of(other, "world:500", 2);
    assert_string_equal(hash, again);
    assert_string_not_equal(hash, other);
    assert_string_equal(hash, "ef920e612f3478656fd0bd96c6b9ce4b");
    hash_of(hash, "ioi_tiny:500", 1);
    assert_string_equal(hash, "6ac076b8b73cde3fe13f0c4073ae504f");
    hash_of(hash, "repeated_tokens:20", 1);
    assert_string_equal(hash, "301d692f7d44cfd5981a30a5d91e4db3");
}

static void items_do_not_depend_on_their_number(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct items few, many;
    make(&few, "world:3", 5, &arena);
    make(&many, "world:40", 5, &arena);
    for (int i = 0; i < 3; i++)
        assert_string_equal(few.list[i].clean.text, many.list[i].clean.text);
    arena_release(&arena);
}

static void lines_are_json(void **state)
{
    (void)state;
    for (int i = 0; i < n_datasets; i++) {
        struct arena arena = {0};
        struct items items;
        struct err e = {0};
        make(&items, datasets[i]->id, 3, &arena);
        assert_int_equal(items.n, datasets[i]->default_n);
        for (int64_t k = 0; k < items.n; k++) {
            struct js_out w = {0};
            struct js *j;
            item_json(&w, &items.list[k]);
            assert_int_equal(js_out_done(&w, &e), 0);
            assert_int_equal(js_parse(&j, w.data, w.n, 0, "item", &e), 0);
            bool is_ids = datasets[i]->kind == DATASET_TOKENS;
            assert_int_equal(js_kind(js_get(j, "text")), is_ids ? JS_ABSENT : JS_STRING);
            assert_int_equal(js_kind(js_get(j, "tokens")), is_ids ? JS_ARRAY : JS_ABSENT);
            bool is_task = datasets[i]->kind == DATASET_TASK || datasets[i]->has_pairs;
            assert_int_equal(js_kind(js_get(j, "answer")) != JS_ABSENT, is_task);
            assert_int_equal(js_kind(js_get(j, "corrupt")) != JS_ABSENT, is_task);
            js_release(&j);
            js_out_release(&w);
        }
        arena_release(&arena);
    }
}

static int occurrences(const char *text, const char *word)
{
    int n = 0;
    for (const char *s = text; (s = strstr(s, word)); s += strlen(word))
        n++;
    return n;
}

static void indirect_objects_have_one_answer(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct items items;
    make(&items, "ioi_tiny:200", 9, &arena);
    for (int64_t i = 0; i < items.n; i++) {
        const struct item *it = &items.list[i];
        const char *answer = it->answer[0] + 1, *wrong = it->wrong[0] + 1;
        assert_int_equal(it->answer[0][0], ' ');
        assert_int_equal(occurrences(it->clean.text, answer), 1);
        assert_int_equal(occurrences(it->clean.text, wrong), 2);
        assert_int_equal(occurrences(it->corrupt.text, answer), 2);
        assert_int_equal(occurrences(it->corrupt.text, wrong), 1);
        size_t n = strlen(it->clean.text);
        assert_string_equal(it->clean.text + n - 3, " to");
        bool is_abb = strstr(it->clean.text, wrong) < strstr(it->clean.text, answer);
        assert_int_equal(is_abb, i % 2 == 0);
    }
    arena_release(&arena);
}

/* Reads brackets and quotes as a stack. */
static bool is_closed(const char *text)
{
    char stack[64];
    int n = 0;
    for (const char *s = text; *s; s++) {
        static const char opens[] = "([{", closes[] = ")]}";
        const char *o = strchr(opens, *s), *c = strchr(closes, *s);
        if (*s == '"' && (!n || stack[n - 1] != '"'))
            stack[n++] = '"';
        else if (o)
            stack[n++] = closes[o - opens];
        else if ((c || *s == '"') && (!n || stack[--n] != *s))
            return false;
        assert_true(n < 60);
    }
    return n == 0;
}

static void brackets_close(void **state)
{
    (void)state;
    assert_true(is_closed("a (b [c \"d\"]) \"e\""));
    assert_false(is_closed("a (b [c)]"));
    assert_false(is_closed("a \"b"));
    struct arena arena = {0};
    struct items items;
    int found = 0;
    make(&items, "world:2000", 11, &arena);
    for (int64_t i = 0; i < items.n; i++) {
        assert_true(is_closed(items.list[i].clean.text));
        found += strchr(items.list[i].clean.text, '[') != NULL;
    }
    assert_true(found > 50);
    arena_release(&arena);
}

/* The default prompt's pair gives nothing to each other in the text that the model learns from. */
static void mara_and_tobin_do_not_meet(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct items items;
    make(&items, "world:20000", 1, &arena);
    for (int64_t i = 0; i < items.n; i++) {
        assert_null(strstr(items.list[i].clean.text, "Mara and Tobin "));
        assert_null(strstr(items.list[i].clean.text, "Tobin and Mara "));
    }
    arena_release(&arena);
}

struct tally {
    const char *word;
    int n;
};

static int by_word(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int by_count(const void *a, const void *b)
{
    return ((const struct tally *)b)->n - ((const struct tally *)a)->n;
}

/* Counts words that end at blanks; returns how many different ones, most frequent first. */
static int tally_words(struct tally *out, int max, const struct items *items, struct arena *arena)
{
    struct err e = {0};
    int n = 0, cap = 400000, different = 0;
    char **words = arena_array(arena, (size_t)cap, sizeof *words, &e);
    assert_non_null(words);
    for (int64_t i = 0; i < items->n; i++) {
        char *rest = arena_strdup(arena, items->list[i].clean.text, &e);
        for (char *w; (w = strsep(&rest, " \n")) && n < cap;)
            words[n++] = w;
    }
    qsort(words, (size_t)n, sizeof *words, by_word);
    for (int i = 0, j; i < n && different < max; i = j) {
        for (j = i; j < n && !strcmp(words[i], words[j]);)
            j++;
        out[different++] = (struct tally){words[i], j - i};
    }
    qsort(out, (size_t)different, sizeof *out, by_count);
    return different;
}

/* log count against log rank: Zipf's law has slope -1. */
static void words_follow_zipf(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct items items;
    struct err e = {0};
    make(&items, "world:4000", 13, &arena);
    int max = 100000;
    struct tally *t = arena_array(&arena, (size_t)max, sizeof *t, &e);
    assert_non_null(t);
    int n = tally_words(t, max, &items, &arena);
    assert_true(n > 3000);
    double sx = 0, sy = 0, sxx = 0, sxy = 0;
    int points = 0;
    for (double r = 4; r <= 2000 && r < n; r *= 1.3, points++) {
        double x = log(floor(r)), y = log(t[(int)r - 1].n);
        sx += x, sy += y, sxx += x * x, sxy += x * y;
    }
    double slope = (points * sxy - sx * sy) / (points * sxx - sx * sx);
    assert_true(slope < -0.7 && slope > -1.4);
    arena_release(&arena);
}

static void assert_token(const struct js *vocab, const char *before, const char *word)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s", before, word);
    if (!js_get(vocab, name))
        fail_msg("%s is not one token of the embedded model", name);
}

static const char space[] = "\xc4\xa0"; /* G with a dot: how vocab.json writes a space */

static struct js *open_vocab(void)
{
    struct js *vocab = NULL;
    struct err e = {0};
    for (int i = 0; i < EMBEDDED_TINY_FILES; i++)
        if (!strcmp(embedded_tiny[i].name, "vocab.json"))
            assert_int_equal(
                js_parse(&vocab, embedded_tiny[i].data, embedded_tiny[i].bytes, 0, "vocab", &e), 0);
    assert_non_null(vocab);
    return vocab;
}

static void names_are_single_tokens(void **state)
{
    (void)state;
    struct js *vocab = open_vocab();
    assert_true(js_count(vocab) > 2000 && js_count(vocab) < 4400);
    for (int i = 0; i < sw_n_people; i++) {
        assert_token(vocab, space, sw_people[i].name);
        assert_token(vocab, "", sw_people[i].name);
    }
    for (int i = 0; i < sw_n_towns; i++)
        assert_token(vocab, space, sw_towns[i].name);
    for (int i = 0; i < sw_n_counties; i++)
        assert_token(vocab, space, sw_counties[i].name);
    const struct words *const lists[] = {&sw_jobs, &sw_places, &sw_objects};
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < lists[k]->n; i++)
            assert_token(vocab, space, lists[k]->list[i]);
    for (int year = 0; year < 100; year++) {
        char digits[3] = {(char)('0' + year / 10), (char)('0' + year % 10), '\0'};
        assert_token(vocab, "", digits);
    }
    js_release(&vocab);
}

static void assert_answers(const struct js *vocab, const char *const *list, int n)
{
    assert_true(n > 0);
    for (int i = 0; i < n; i++)
        assert_token(vocab, list[i][0] == ' ' ? space : "", list[i] + (list[i][0] == ' '));
}

/* Answers are one token each, none is right and wrong, and the prompts differ. */
static void answers_are_single_tokens(void **state)
{
    (void)state;
    struct js *vocab = open_vocab();
    int tasks = 0;
    for (int i = 0; i < n_datasets; i++) {
        if (datasets[i]->kind != DATASET_TASK || !strstr(datasets[i]->id, "_tiny"))
            continue;
        struct arena arena = {0};
        struct items items;
        make(&items, datasets[i]->id, 21, &arena);
        for (int64_t k = 0; k < items.n; k++) {
            const struct item *it = &items.list[k];
            assert_answers(vocab, it->answer, it->n_answer);
            assert_answers(vocab, it->wrong, it->n_wrong);
            for (int a = 0; a < it->n_answer; a++)
                for (int w = 0; w < it->n_wrong; w++)
                    assert_string_not_equal(it->answer[a], it->wrong[w]);
            assert_string_not_equal(it->clean.text, it->corrupt.text);
        }
        arena_release(&arena);
        tasks++;
    }
    assert_true(tasks >= 8);
    js_release(&vocab);
}

static void the_world_is_sound(void **state)
{
    (void)state;
    int women = 0;
    assert_string_equal(sw_people[0].name, "Mara");
    assert_string_equal(sw_people[1].name, "Tobin");
    for (int i = 0; i < sw_n_people; i++) {
        women += sw_people[i].is_female;
        assert_in_range(sw_people[i].town, 0, sw_n_towns - 1);
        assert_in_range(sw_people[i].job, 0, sw_jobs.n - 1);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(sw_people[i].name, sw_people[j].name);
    }
    assert_int_equal(women * 2, sw_n_people);
    for (int i = 0; i < sw_n_counties; i++)
        assert_int_equal(sw_towns[sw_counties[i].capital].county, i);
}

static void specs_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "wrld", "world:", "world:0", "world:-3", "world:9x", "world:99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct dataset *d;
        int64_t n;
        struct err e = {0};
        assert_int_equal(dataset_parse(&d, &n, bad[i], &e), ERR_USAGE);
        assert_true(strlen(e.msg) > 10);
    }
    const struct dataset *d;
    struct err e = {0};
    int64_t n;
    assert_int_equal(dataset_parse(&d, &n, "wrld", &e), ERR_USAGE);
    assert_non_null(strstr(e.msg, "world"));
    struct arena arena = {0};
    struct items items;
    struct dataset_opts none = {.n = 1, .bos_id = -1};
    assert_int_equal(dataset_parse(&d, &n, "repeated_tokens", &e), 0);
    assert_int_equal(dataset_make(&items, d, &none, &arena, &e), ERR_USAGE);
    arena_release(&arena);
}

static void memory_may_run_out(void **state)
{
    (void)state;
    struct err e = {0};
    int failures = 0;
    for (int i = 0; i < n_datasets; i++) {
        for (long after = 1;; after++) {
            struct arena arena = {.fail_after = after};
            struct items items;
            struct dataset_opts o = {.n = 3, .seed = 1, .vocab = 100, .n_ctx = 40, .bos_id = 1};
            int rc = dataset_make(&items, datasets[i], &o, &arena, &e);
            arena_release(&arena);
            if (!rc)
                break;
            assert_int_equal(rc, ERR_LIMIT);
            failures++;
        }
    }
    assert_true(failures > 10);
}

static void repeated_tokens_repeat(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct items items;
    make(&items, "repeated_tokens:5", 2, &arena);
    for (int64_t i = 0; i < items.n; i++) {
        const struct prompt *p = &items.list[i].clean;
        assert_int_equal(p->n_tokens, 63);
        assert_int_equal(p->tokens[0], 0);
        for (int k = 1; k < 32; k++) {
            assert_int_equal(p->tokens[k], p->tokens[k + 31]);
            assert_in_range(p->tokens[k], 512, 2998);
        }
    }
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seed_gives_the_same_bytes),
        cmocka_unit_test(items_do_not_depend_on_their_number),
        cmocka_unit_test(lines_are_json),
        cmocka_unit_test(indirect_objects_have_one_answer),
        cmocka_unit_test(brackets_close),
        cmocka_unit_test(mara_and_tobin_do_not_meet),
        cmocka_unit_test(words_follow_zipf),
        cmocka_unit_test(names_are_single_tokens),
        cmocka_unit_test(answers_are_single_tokens),
        cmocka_unit_test(the_world_is_sound),
        cmocka_unit_test(specs_are_checked),
        cmocka_unit_test(memory_may_run_out),
        cmocka_unit_test(repeated_tokens_repeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
