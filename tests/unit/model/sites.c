#include "model/sites.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct config cfg = {
    .n_layer = 12, .n_head = 4, .d_model = 20, .d_head = 5, .d_mlp = 33, .vocab = 50};

static void every_printed_name_parses(void **state)
{
    (void)state;
    for (int s = 0; s < SITE_COUNT; s++) {
        char name[64];
        enum site back;
        int layer;
        struct err e = {0};
        bool in_block = site_info((enum site)s)->per_layer;
        site_full_name(name, sizeof name, (enum site)s, 7);
        assert_int_equal(site_parse(&back, &layer, name, &cfg, &e), 0);
        assert_int_equal(back, s);
        assert_int_equal(layer, in_block ? 7 : -1);
    }
}

static void other_libraries_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum site site;
        int layer;
    } rows[] = {
        {"blocks.5.hook_out", SITE_RESID_POST, 5},
        {"blocks.5.hook_in", SITE_RESID_PRE, 5},
        {"blocks.0.attn.q.hook_out", SITE_Q, 0},
        {"blocks.11.mlp.in.hook_out", SITE_MLP_PRE, 11},
        {"embed.hook_out", SITE_EMBED, -1},
        {"transformer.h.5.mlp", SITE_MLP_OUT, 5},
        {"transformer.h.5", SITE_RESID_POST, 5},
        {"h.3.attn.c_proj", SITE_ATTN_OUT, 3},
        {"transformer.wte", SITE_EMBED, -1},
        {"transformer.ln_f", SITE_LNF_NORM, -1},
        {"k6", SITE_K, 6},
        {"pre5", SITE_MLP_PRE, 5},
        {"resid_pre3", SITE_RESID_PRE, 3},
        {"attn2", SITE_PATTERN, 2},
        {"key1", SITE_K, 1},
        {"scale4ln1", SITE_LN1_SCALE, 4},
        {"normalized4ln2", SITE_LN2_NORM, 4},
        {"embed", SITE_EMBED, -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum site s;
        int layer;
        struct err e = {0};
        if (site_parse(&s, &layer, rows[i].name, &cfg, &e))
            fail_msg("%s: %s", rows[i].name, e.msg);
        if (s != rows[i].site || layer != rows[i].layer)
            fail_msg("%s is read as %s of layer %d", rows[i].name, site_info(s)->name, layer);
    }
}

static void unknown_names_suggest(void **state)
{
    (void)state;
    static const char *const bad[] = {"blocks.3.attn.hook_zz", "hook_zzz", "", "k", "k12",
        "blocks.12.attn.hook_z", "blocks.99999999999999999999.attn.hook_z", "blocks.-1.hook_in",
        "resid_pree3", "scale4", "transformer.h", "blocks.3."};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        enum site s;
        int layer;
        struct err e = {0};
        if (site_parse(&s, &layer, bad[i], &cfg, &e) != ERR_USAGE)
            fail_msg("\"%s\" was accepted", bad[i]);
        assert_true(e.msg[0]);
    }
    struct err e = {0};
    enum site s;
    int layer;
    site_parse(&s, &layer, "blocks.3.attn.hook_zz", &cfg, &e);
    assert_non_null(strstr(e.msg, "blocks.3.attn.hook_z"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_printed_name_parses),
        cmocka_unit_test(other_libraries_names),
        cmocka_unit_test(unknown_names_suggest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
