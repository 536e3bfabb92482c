#include "model/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define BASE                                                                                       \
    "\"n_layer\": 2, \"n_head\": 3, \"n_embd\": 12, \"vocab_size\": 29, \"n_positions\": 19"

static int parse(struct config *c, const char *text, struct err *e)
{
    return config_parse(c, text, strlen(text), "config.json", e);
}

static void defaults_are_those_of_transformers(void **state)
{
    (void)state;
    struct config c;
    struct err e = {0};
    assert_int_equal(parse(&c, "{" BASE "}", &e), 0);
    assert_int_equal(c.n_layer, 2);
    assert_int_equal(c.d_head, 4);
    assert_int_equal(c.d_mlp, 48);
    assert_int_equal(c.n_ctx, 19);
    assert_int_equal(c.act, ACT_GELU_NEW);
    assert_true(c.ln_eps == 1e-5 && !c.ln_eps_given);
    assert_true(c.scale_attn_weights && !c.scale_attn_by_layer && c.tied);
    assert_int_equal(c.bos_id, -1);
}

static void every_field_is_obeyed(void **state)
{
    (void)state;
    struct config c;
    struct err e = {0};
    assert_int_equal(
        parse(&c,
            "{" BASE ", \"n_inner\": 23, \"activation_function\": \"swish\","
            "\"layer_norm_epsilon\": 1e12, \"scale_attn_weights\": false, \"n_ctx\": 7,"
            "\"scale_attn_by_inverse_layer_idx\": true, \"reorder_and_upcast_attn\": true,"
            "\"tie_word_embeddings\": false, \"bos_token_id\": 28, \"eos_token_id\": 29}",
            &e),
        0);
    assert_int_equal(c.d_mlp, 23);
    assert_int_equal(c.act, ACT_SILU);
    assert_true(c.ln_eps == 1e12 && c.ln_eps_given);
    assert_true(!c.scale_attn_weights && c.scale_attn_by_layer && !c.tied);
    assert_int_equal(c.n_ctx, 19);
    assert_int_equal(c.bos_id, 28);
    assert_int_equal(c.eos_id, -1); /* not below the vocabulary */
    assert_int_equal(parse(&c, "{" BASE ", \"n_inner\": null, \"bos_token_id\": null}", &e), 0);
    assert_int_equal(c.d_mlp, 48);
    assert_true(c.init_std == 0);
    assert_int_equal(parse(&c, "{" BASE ", \"initializer_range\": -1}", &e), 0);
    assert_true(c.init_std == 0);
}

static void refusals_name_the_key(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"[]", "not an object"},
        {"{\"model_type\": \"llama\", " BASE "}", "'llama'"},
        {"{\"model_type\": 3, " BASE "}", "model_type"},
        {"{\"n_head\": 1, \"n_embd\": 1, \"vocab_size\": 1, \"n_positions\": 1}",
            "n_layer is missing"},
        {"{\"n_layer\": 0, \"n_head\": 1}", "n_layer is 0"},
        {"{\"n_layer\": 513, \"n_head\": 1}", "n_layer is 513"},
        {"{\"n_layer\": -1}", "n_layer is -1"},
        {"{\"n_layer\": 1.5}", "n_layer is 1.5"},
        {"{\"n_layer\": \"2\"}", "n_layer is a string"},
        {"{\"n_layer\": 1099511627776}", "n_layer is 1099511627776"},
        {"{\"n_layer\": 1e300}", "n_layer is"},
        {"{\"n_layer\": 18446744073709551616}", "n_layer is"},
        {"{\"n_layer\": 1, \"n_head\": 5, \"n_embd\": 12, \"vocab_size\": 29, \"n_positions\": 19}",
            "not divisible"},
        {"{\"n_layer\": 1, \"n_head\": 1, \"n_embd\": 262144, \"vocab_size\": 2, \"n_positions\": "
         "1}",
            "n_inner"},
        {"{\"n_layer\": 1, \"n_head\": 1, \"n_embd\": 4, \"vocab_size\": 1099511627776}",
            "vocab_size"},
        {"{\"n_layer\": 1, \"n_head\": 1, \"n_embd\": 4, \"vocab_size\": 4}", "n_positions"},
        {"{" BASE ", \"n_inner\": 0}", "n_inner is 0"},
        {"{" BASE ", \"activation_function\": \"geglu\"}", "gelu_pytorch_tanh"},
        {"{" BASE ", \"activation_function\": \"prelu\"}", "weights of its own"},
        {"{" BASE ", \"activation_function\": \"xielu\"}", "weights of its own"},
        {"{" BASE ", \"activation_function\": null}", "activation_function"},
        {"{" BASE ", \"layer_norm_epsilon\": -1}", "layer_norm_epsilon"},
        {"{" BASE ", \"layer_norm_epsilon\": \"1e-5\"}", "layer_norm_epsilon"},
        {"{" BASE ", \"add_cross_attention\": true}", "add_cross_attention"},
        {"{" BASE ", \"tie_word_embeddings\": 1}", "tie_word_embeddings"},
        {"{" BASE, "line 1"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct config c;
        struct err e = {0};
        assert_int_equal(parse(&c, bad[i].text, &e), ERR_INPUT);
        if (!strstr(e.msg, bad[i].says) || strncmp(e.msg, "config.json", 11))
            fail_msg("'%s' says '%s'", bad[i].text, e.msg);
    }
}

static void every_activation_has_a_name(void **state)
{
    (void)state;
    static const char *const aliases[] = {"gelu_pytorch_tanh", "gelu_python_tanh", "gelu_accurate"};
    enum act a;
    struct err e = {0};
    for (int i = 0; i < ACT_COUNT; i++) {
        assert_int_equal(act_parse(&a, act_name((enum act)i), &e), 0);
        assert_int_equal(a, i);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(act_parse(&a, aliases[i], &e), 0);
        assert_int_equal(a, ACT_GELU_NEW);
    }
    assert_int_equal(act_parse(&a, "gelu_python", &e), 0);
    assert_int_equal(a, ACT_GELU);
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    struct config c, d;
    struct err e = {0};
    struct arena arena = {0};
    assert_int_equal(
        parse(&c,
            "{" BASE ", \"n_inner\": 5, \"activation_function\": \"relu6\","
            "\"layer_norm_epsilon\": 1e-6, \"bos_token_id\": 1, \"tie_word_embeddings\": false,"
            "\"initializer_range\": 0.06}",
            &e),
        0);
    assert_true(c.init_std == 0.06);
    char *text = config_write(&c, &arena, &e);
    assert_non_null(text);
    assert_int_equal(parse(&d, text, &e), 0);
    assert_int_equal(c.d_mlp, d.d_mlp);
    assert_int_equal(c.act, d.act);
    assert_true(c.ln_eps == d.ln_eps && d.ln_eps_given && d.init_std == 0.06);
    assert_true(!d.tied && d.bos_id == 1 && d.eos_id == -1);
    c.ln = LN_LINEAR;
    c.ln_gain = 1e6;
    text = config_write(&c, &arena, &e);
    assert_int_equal(parse(&d, text, &e), 0);
    assert_true(d.ln_eps == 1e12);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_transformers),
        cmocka_unit_test(every_field_is_obeyed),
        cmocka_unit_test(refusals_name_the_key),
        cmocka_unit_test(every_activation_has_a_name),
        cmocka_unit_test(what_is_written_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
