#include "model/model.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/core/stream.h"
#include "model/hub.h"

static char root[64];

static void shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *fmt, ...)
{
    char command[4096];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(command, sizeof command, fmt, ap);
    va_end(ap);
    if (system(command))
        fail_msg("%s", command);
}

static void opens_as(const char *name, const char *want_name, const char *note)
{
    struct err e = {0};
    struct model *m;
    if (model_open(&m, name, NULL, &e))
        fail_msg("%s: %s", name, e.msg);
    assert_string_equal(m->name, want_name);
    if (!strstr(m->note, note))
        fail_msg("%s: note '%s'", name, m->note);
    model_release(&m);
    model_release(&m);
}

static void refused(const char *name, int code, const char *says)
{
    struct err e = {0};
    struct model *m;
    assert_int_equal(model_open(&m, name, NULL, &e), code);
    assert_null(m);
    if (!strstr(e.msg, says))
        fail_msg("%s: '%s' does not say '%s'", name, e.msg, says);
}

/* A hub cache, a folder of models and a folder to stand in. */
static int make_places(void **state)
{
    (void)state;
    const char *models = getenv("SONDE_TEST_MODELS");
    strcpy(root, "/tmp/sonde-model-XXXXXX");
    if (!models || !mkdtemp(root))
        return -1;
    shell("cd %s && mkdir -p mine/org here cache home/.cache/huggingface/hub && cp -r %s/small "
          "mine/one "
          "&& cp -r %s/plain mine/org/two",
        root, models, models);
    shell("cd %s/cache && for i in gpt2-medium:abc distilbert--distilgpt2:def me--own:123; do "
          "d=models--${i%%:*}; mkdir -p $d/snapshots $d/refs $d/blobs; "
          "cp -r %s/small $d/snapshots/${i#*:}; printf ${i#*:} > $d/refs/main; done",
        root, models);
    /* As huggingface_hub leaves it: links to blobs; two revisions; a ref that points nowhere. */
    shell("cd %s/cache/models--me--own && mv snapshots/123/model.safetensors blobs/w && "
          "ln -s ../../blobs/w snapshots/123/model.safetensors && cp -r snapshots/123 "
          "snapshots/456 && "
          "printf '456\\n' > refs/v2 && printf ../../.. > refs/evil && printf 999 > refs/gone",
        root);
    shell("cd %s/home/.cache/huggingface/hub && mkdir -p models--lone/snapshots && "
          "cp -r %s/tokens models--lone/snapshots/only",
        root, models);
    char path[128];
    setenv("SONDE_MODELS", (snprintf(path, sizeof path, "/nowhere:%s/mine", root), path), 1);
    setenv("HF_HUB_CACHE", (snprintf(path, sizeof path, "%s/cache", root), path), 1);
    setenv("HOME", (snprintf(path, sizeof path, "%s/home", root), path), 1);
    unsetenv("HF_HOME");
    unsetenv("XDG_CACHE_HOME");
    snprintf(path, sizeof path, "%s/here", root);
    return chdir(path);
}

static int remove_places(void **state)
{
    (void)state;
    shell("cd / && rm -rf %s", root);
    return 0;
}

static void names_lead_to_models(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/mine/one/", root);
    opens_as(path, "one", "no tokenizer files");
    opens_as("../mine/one", "one", "");
    opens_as("one", "one", "");
    opens_as("org/two", "org/two", "");
    opens_as("gpt2-medium", "gpt2-medium", "");
    opens_as("distilgpt2", "distilgpt2", ""); /* an alias */
    opens_as("distilbert/distilgpt2", "distilbert/distilgpt2", "");
    opens_as("me/own", "me/own", "");
    opens_as("me/own@v2", "me/own@v2", "");
    opens_as("me/own@456", "me/own@456", "");
    opens_as("lone", "lone", ""); /* no refs, but a single snapshot */
    shell("cp -r %s/mine/one gpt2-medium", root);
    opens_as("gpt2-medium", "gpt2-medium", ""); /* a folder here comes first */
    char found[HUB_PATH];
    struct err e;
    assert_int_equal(hub_find(found, "gpt2-medium", &e), 0);
    assert_string_equal(found, "gpt2-medium");
    shell("rm -r gpt2-medium && mkdir gpt2-medium"); /* unless it holds no model */
    assert_int_equal(hub_find(found, "gpt2-medium", &e), 0);
    assert_non_null(strstr(found, "models--gpt2-medium/snapshots/abc"));
}

static void refusals_say_where_it_looked(void **state)
{
    (void)state;
    refused("gpt2", ERR_INPUT, "/cache, ");
    refused("gpt2", ERR_INPUT, "/mine");
    refused("", ERR_USAGE, "empty");
    refused("me/own@evil", ERR_INPUT, "no model 'me/own@evil'");
    refused("me/own@gone", ERR_INPUT, "no model");
    refused("me/own@../../..", ERR_INPUT, "no model");
    refused("../../etc/x", ERR_INPUT, "no model");
    refused("a/b/c", ERR_INPUT, "no model");
    refused(".", ERR_INPUT, "config.json is missing");
    shell("touch file && mkdir -p bin && echo '{}' > bin/config.json");
    refused("./file", ERR_INPUT, "is a file");
    refused("file", ERR_INPUT, "is a file");
    refused("bin", ERR_INPUT, "n_layer is missing");
    char *longest = malloc(5000);
    memset(longest, 'x', 4999);
    longest[4999] = '\0';
    refused(longest, ERR_USAGE, "too long");
    free(longest);
}

static void half_a_tokenizer_is_an_error(void **state)
{
    (void)state;
    shell("rm -rf half && cp -r %s/mine/org/two half && rm half/merges.txt", root);
    refused("half", ERR_INPUT, "vocab.json is there, but not merges.txt");
    shell("rm half/vocab.json && mkdir half/tokenizer.json");
    refused("half", ERR_INPUT, "not a regular file");
    shell("rmdir half/tokenizer.json && mkfifo half/config2 && mv half/config2 half/config.json");
    refused("half", ERR_INPUT, "not a regular file");
}

static void set_config(const char *folder, const char *sed)
{
    shell("sed -i '%s' %s/config.json", sed, folder);
}

static void bos_follows_the_rule(void **state)
{
    (void)state;
    struct err e = {0};
    struct model *m;
    shell("rm -rf bos && cp -r %s/mine/org/two bos", root);
    for (int i = 0; i < 4; i++) {
        static const char *const edits[] = {"s/\"bos_token_id\": 310/\"bos_token_id\": 5/",
            "s/\"bos_token_id\": 5/\"bos_token_id\": 50256/", /* not in this vocabulary */
            "s/\"bos_token_id\": 50256/\"bos_token_id\": null/", "s/x/x/"};
        static const int64_t want[] = {5, 310, 310, -1};
        set_config("bos", edits[i]);
        if (i == 3)
            shell("rm bos/vocab.json bos/merges.txt");
        assert_int_equal(model_open(&m, "bos", NULL, &e), 0);
        assert_int_equal(m->bos_id, want[i]);
        assert_int_equal(strstr(m->note, "no BOS") != NULL, want[i] < 0);
        model_release(&m);
    }
}

static void notes_tell_what_was_decided(void **state)
{
    (void)state;
    char path[PATH_MAX];
    const char *models = getenv("SONDE_TEST_MODELS");
    snprintf(path, sizeof path, "%s/head-ignored", models);
    opens_as(path, "head-ignored", "lm_head.weight differs from wte and is ignored");
    snprintf(path, sizeof path, "%s/lnfree", models);
    opens_as(path, "lnfree", "LN-free (eps 1e+12, gain 1e+06)");
    snprintf(path, sizeof path, "%s/untied", models);
    opens_as(path, "untied", "");
    snprintf(path, sizeof path, "%s/fakeln-partial", models);
    refused(path, ERR_INPUT, "partially removed");
}

static void read_embedded(struct embedded_file *f, const char *folder, const char *name)
{
    static struct arena arena;
    struct err e = {0};
    char path[PATH_MAX], *data;
    size_t n;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(stream_all(&data, &n, path, 1 << 24, &arena, &e), 0);
    *f = (struct embedded_file){name, data, n};
}

static void count_name(void *arg, const char *name, const char *path)
{
    char *all = arg;
    assert_non_null(path);
    strcat(strcat(all, name), " ");
}

static void embedded_models_need_no_files(void **state)
{
    (void)state;
    static struct embedded_file files[4];
    static const char *const names[] = {
        "config.json", "model.safetensors", "vocab.json", "merges.txt"};
    char folder[128], all[1024] = "", hash[33], same[33], other[33];
    struct err e = {0};
    struct model *m, *disk;
    snprintf(folder, sizeof folder, "%s/mine/org/two", root);
    for (int i = 0; i < 4; i++)
        read_embedded(&files[i], folder, names[i]);
    refused("tiny", ERR_INPUT, "no model 'tiny'");
    model_register_embedded("tiny", files, 4);
    assert_int_equal(model_open(&m, "tiny", NULL, &e), 0);
    assert_int_equal(model_open(&disk, folder, NULL, &e), 0);
    assert_string_equal(m->path, "");
    assert_int_equal(m->bos_id, 310);
    float a[33], b[33];
    assert_int_equal(params_embed(a, m->params, 17, &e), 0);
    assert_int_equal(params_embed(b, disk->params, 17, &e), 0);
    assert_memory_equal(a, b, sizeof a);
    assert_int_equal(model_hash(hash, m, &e), 0);
    assert_int_equal(model_hash(same, disk, &e), 0);
    assert_string_equal(hash, same);
    model_tokenizer_hash(hash, m);
    model_tokenizer_hash(same, disk);
    assert_string_equal(hash, same);
    model_release(&disk);
    assert_int_equal(model_open(&disk, "one", NULL, &e), 0);
    model_tokenizer_hash(other, disk);
    assert_string_equal(other, "00000000000000000000000000000000");
    model_release(&disk);
    model_release(&m);
    assert_int_equal(model_list(count_name, all, &e), 0);
    assert_string_equal(all, "tiny distilbert/distilgpt2 gpt2-medium lone me/own one org/two ");
    model_register_embedded(NULL, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_lead_to_models),
        cmocka_unit_test(refusals_say_where_it_looked),
        cmocka_unit_test(half_a_tokenizer_is_an_error),
        cmocka_unit_test(bos_follows_the_rule),
        cmocka_unit_test(notes_tell_what_was_decided),
        cmocka_unit_test(embedded_models_need_no_files),
    };
    return cmocka_run_group_tests(tests, make_places, remove_places);
}
