#include "app/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "app/flags.h"
#include "app/session.h"
#include "app/words.h"

static struct arena arena;

static int parse(struct command *c, const char *line, struct err *e)
{
    char **words;
    int n;
    assert_int_equal(words_split(&words, &n, line, &arena, e), 0);
    return command_parse(c, words, n, &arena, e);
}

static void good_lines(void **state)
{
    (void)state;
    struct command c;
    struct err e = {0};
    assert_int_equal(parse(&c, "list hooks", &e), 0);
    assert_string_equal(c.verb->name, "list");
    assert_int_equal(c.n_operands, 1);
    assert_string_equal(c.operands[0], "hooks");
    assert_string_equal(c.text, "sonde list hooks");
    assert_int_equal(parse(&c, "-q --progress json list --names hooks", &e), 0);
    assert_true(args_bool(&c.args, "quiet") && args_bool(&c.args, "names"));
    assert_string_equal(args_text(&c.args, "progress"), "json");
    assert_int_equal(parse(&c, "list hooks --no-names --progress=plain", &e), 0);
    assert_false(args_bool(&c.args, "names"));
    assert_int_equal(parse(&c, "list hooks --names=true", &e), 0);
    assert_true(args_bool(&c.args, "names"));
    assert_int_equal(parse(&c, "-m gpt2 -p 'a b' -p c --prepend_bos=false -t2", &e), 0);
    assert_true(c.verb->is_hidden);
    assert_string_equal(args_text(&c.args, "model"), "gpt2");
    assert_int_equal(args_get(&c.args, "prompt")->n_texts, 2);
    assert_false(args_bool(&c.args, "prepend-bos"));
    assert_int_equal(args_int(&c.args, "threads"), 2);
    assert_string_equal(c.text, "sonde -m gpt2 -p 'a b' -p c --prepend_bos=false -t2");
    assert_int_equal(parse(&c, "list --help", &e), 0);
    assert_true(c.wants_help);
    assert_int_equal(parse(&c, "-qh", &e), 0);
    assert_true(c.wants_help);
    assert_int_equal(parse(&c, "completion -- bash", &e), 0);
    assert_string_equal(c.operands[0], "bash");
    arena_release(&arena);
}

static void inner_commands_inherit(void **state)
{
    (void)state;
    struct session s;
    struct command outer, c;
    struct err e = {0};
    char run[] = "run", lens[] = "lens", t3[] = "-t3", *words[] = {run, lens, t3};
    session_init(&s);
    assert_int_equal(parse(&outer, "batch -t 1 --max-mem 2G -q lines", &e), 0);
    assert_int_equal(session_parse(&c, &s, words, 2, &arena, &e), 0);
    assert_int_equal(args_int(&c.args, "threads"), 0);
    s.outer = &outer.args;
    assert_int_equal(session_parse(&c, &s, words, 2, &arena, &e), 0);
    assert_int_equal(args_int(&c.args, "threads"), 1);
    assert_int_equal(args_int(&c.args, "max-mem"), args_int(&outer.args, "max-mem"));
    assert_true(args_bool(&c.args, "quiet"));
    assert_int_equal(session_parse(&c, &s, words, 3, &arena, &e), 0);
    assert_int_equal(args_int(&c.args, "threads"), 3);
    session_release(&s);
    arena_release(&arena);
}

static void bad_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says;
    } bad[] = {
        {"lst", "list"},
        {"workbench", "no command"},
        {"list", "needs"},
        {"list hooks keys", "keys"},
        {"list hooks --nmaes", "--names"},
        {"list hooks --progress", "needs a value"},
        {"list hooks --progress often", "auto|plain"},
        {"list hooks -Z", "-Z"},
        {"list hooks --no-progress", "--no-progress"},
        {"list hooks --", ""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct command c;
        struct err e = {0};
        int rc = parse(&c, bad[i].line, &e);
        if (!*bad[i].says) {
            assert_int_equal(rc, 0);
            continue;
        }
        assert_int_equal(rc, ERR_USAGE);
        if (!strstr(e.msg, bad[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", bad[i].line, e.msg, bad[i].says);
    }
    arena_release(&arena);
}

/* Tables that share a name agree whether it takes a value, and on the letter. */
static void hold(const struct param *p, const struct param *q)
{
    if (flag_is(p->name, q->name, strlen(q->name)) &&
        (p->type == PARAM_BOOL) != (q->type == PARAM_BOOL))
        fail_msg("--%s takes a value in one table and none in another", p->name);
    if (p->letter && p->letter == q->letter && strcmp(p->name, q->name))
        fail_msg("-%c is --%s and --%s", p->letter, p->name, q->name);
}

static int all_params(const struct param **out, int max)
{
    int n = 0;
    for (int s = -1; s < FLAG_SETS; s++) {
        const struct flag_table *t = s < 0 ? &general_flags : flag_set_at(s);
        for (int i = 0; i < t->n && n < max; i++)
            out[n++] = &t->params[i];
    }
    for (int v = 0; v < n_verbs; v++)
        for (int i = 0; i < verbs[v]->n_params && n < max; i++)
            out[n++] = &verbs[v]->params[i];
    for (int a = 0; a < n_analyses; a++)
        for (int i = 0; i < analyses[a]->n_params && n < max; i++)
            out[n++] = &analyses[a]->params[i];
    return n;
}

static void tables_agree(void **state)
{
    (void)state;
    const struct param *all[1000];
    int n = all_params(all, 1000);
    assert_in_range(n, 10, 999);
    for (int i = 0; i < n; i++) {
        assert_non_null(all[i]->help);
        assert_int_not_equal(all[i]->help[strlen(all[i]->help) - 1], '.');
        for (int j = 0; j < i; j++)
            hold(all[i], all[j]);
    }
    for (int v = 0; v < n_verbs; v++) {
        struct args a;
        struct err e = {0};
        assert_non_null(verbs[v]->brief);
        assert_ptr_equal(verb_find(verbs[v]->name), verbs[v]);
        assert_int_equal(args_init(&a, verbs[v]->params, verbs[v]->n_params, &arena, &e), 0);
    }
    for (int i = 0; i < n_analyses; i++) {
        struct args a;
        struct err e = {0};
        if (args_init(&a, analyses[i]->params, analyses[i]->n_params, &arena, &e))
            fail_msg("%s: %s", analyses[i]->id, e.msg);
    }
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_lines),
        cmocka_unit_test(inner_commands_inherit),
        cmocka_unit_test(bad_lines),
        cmocka_unit_test(tables_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
