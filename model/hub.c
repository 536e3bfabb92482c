#include "model/hub.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/core/arena.h"

/* Short names, as TransformerLens has them. A name without a slash stands for itself too: the
 * oldest models had no organisation. */
static const struct {
    const char *name, *id;
} aliases[] = {
    {"gpt2", "openai-community/gpt2"},
    {"gpt2-small", "openai-community/gpt2"},
    {"gpt2-small", "gpt2"},
    {"gpt2-medium", "openai-community/gpt2-medium"},
    {"gpt2-large", "openai-community/gpt2-large"},
    {"gpt2-xl", "openai-community/gpt2-xl"},
    {"distilgpt2", "distilbert/distilgpt2"},
    {"distil-gpt2", "distilbert/distilgpt2"},
    {"distil-gpt2", "distilgpt2"},
    {"gpt2-xs", "distilbert/distilgpt2"},
    {"gpt2-xs", "distilgpt2"},
    {"stanford-gpt2-small-a", "stanford-crfm/alias-gpt2-small-x21"},
    {"stanford-gpt2-small-b", "stanford-crfm/battlestar-gpt2-small-x49"},
    {"stanford-gpt2-small-c", "stanford-crfm/caprica-gpt2-small-x81"},
    {"stanford-gpt2-small-d", "stanford-crfm/darkmatter-gpt2-small-x343"},
    {"stanford-gpt2-small-e", "stanford-crfm/expanse-gpt2-small-x777"},
    {"stanford-gpt2-medium-a", "stanford-crfm/arwen-gpt2-medium-x21"},
    {"stanford-gpt2-medium-b", "stanford-crfm/beren-gpt2-medium-x49"},
    {"stanford-gpt2-medium-c", "stanford-crfm/celebrimbor-gpt2-medium-x81"},
    {"stanford-gpt2-medium-d", "stanford-crfm/durin-gpt2-medium-x343"},
    {"stanford-gpt2-medium-e", "stanford-crfm/eowyn-gpt2-medium-x777"},
};

struct places {
    char models[8][HUB_PATH]; /* $SONDE_MODELS */
    char hub[4][HUB_PATH];
    int n_models, n_hub;
};

static bool is_folder(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

static bool has_config(const char *folder)
{
    char path[HUB_PATH + 16];
    snprintf(path, sizeof path, "%s/config.json", folder);
    return !access(path, F_OK);
}

static void add_hub(struct places *p, const char *base, const char *below)
{
    if (!base || !*base)
        return;
    char *to = p->hub[p->n_hub];
    if (snprintf(to, HUB_PATH, "%s%s", base, below) >= HUB_PATH)
        return;
    for (int i = 0; i < p->n_hub; i++)
        if (!strcmp(p->hub[i], to))
            return;
    p->n_hub++;
}

static void find_places(struct places *p)
{
    *p = (struct places){0};
    const char *list = getenv("SONDE_MODELS");
    while (list && *list && p->n_models < 8) {
        size_t n = strcspn(list, ":");
        if (n && n < HUB_PATH)
            snprintf(p->models[p->n_models++], HUB_PATH, "%.*s", (int)n, list);
        list += n + (list[n] == ':');
    }
    add_hub(p, getenv("HF_HUB_CACHE"), "");
    add_hub(p, getenv("HF_HOME"), "/hub");
    add_hub(p, getenv("XDG_CACHE_HOME"), "/huggingface/hub");
    add_hub(p, getenv("HOME"), "/.cache/huggingface/hub");
}

/* A name from outside that becomes one part of a path. */
static bool is_plain(const char *s)
{
    return *s && strcmp(s, ".") && strcmp(s, "..") && !strchr(s, '/');
}

/* The commit that refs/REV names; a plain name on one line. Branches may have slashes. */
static bool read_ref(char *out, size_t n, const char *repo, const char *rev)
{
    char path[2 * HUB_PATH];
    if (strstr(rev, "..") || rev[0] == '/')
        return false;
    snprintf(path, sizeof path, "%s/refs/%s", repo, rev);
    struct stat st;
    if (stat(path, &st) || !S_ISREG(st.st_mode))
        return false;
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    bool good = fgets(out, (int)n, f) != NULL;
    fclose(f);
    if (good)
        out[strcspn(out, "\r\n \t")] = '\0';
    return good && is_plain(out);
}

/* The only snapshot there is: caches that were copied by hand have no refs. */
static bool only_snapshot(char *out, size_t n, const char *repo)
{
    char path[HUB_PATH + 16];
    int found = 0;
    snprintf(path, sizeof path, "%s/snapshots", repo);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.' && !found++)
            snprintf(out, n, "%s", e->d_name);
    if (d)
        closedir(d);
    return found == 1;
}

static bool find_snapshot(char out[HUB_PATH], const char *repo, const char *rev)
{
    char commit[256];
    if (!read_ref(commit, sizeof commit, repo, rev ? rev : "main")) {
        if (rev && is_plain(rev))
            snprintf(commit, sizeof commit, "%s", rev);
        else if (rev || !only_snapshot(commit, sizeof commit, repo))
            return false;
    }
    return snprintf(out, HUB_PATH, "%s/snapshots/%s", repo, commit) < HUB_PATH && is_folder(out);
}

/* ORG/NAME as huggingface_hub spells its folder: models--ORG--NAME. */
static bool find_id(char out[HUB_PATH], const struct places *p, const char *id, const char *rev)
{
    char folder[512], repo[HUB_PATH];
    size_t n = (size_t)snprintf(folder, sizeof folder, "models--");
    for (const char *c = id; *c && n + 3 < sizeof folder; c++)
        n += (size_t)snprintf(folder + n, sizeof folder - n, *c == '/' ? "--" : "%c", *c);
    for (int i = 0; i < p->n_hub; i++)
        if (snprintf(repo, sizeof repo, "%s/%s", p->hub[i], folder) < HUB_PATH &&
            find_snapshot(out, repo, rev))
            return true;
    return false;
}

static bool find_named(char out[HUB_PATH], const struct places *p, const char *name)
{
    char id[256];
    if (strlen(name) >= sizeof id || name[0] == '/' || strstr(name, ".."))
        return false;
    for (int i = 0; i < p->n_models; i++)
        if (snprintf(out, HUB_PATH, "%s/%s", p->models[i], name) < HUB_PATH && has_config(out))
            return true;
    snprintf(id, sizeof id, "%s", name);
    char *rev = strchr(id, '@');
    if (rev)
        *rev++ = '\0';
    const char *slash = strchr(id, '/');
    if (slash && strchr(slash + 1, '/'))
        return false;
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (!strcmp(id, aliases[i].name) && find_id(out, p, aliases[i].id, rev))
            return true;
    return find_id(out, p, id, rev);
}

static int not_found(const char *name, const struct places *p, struct err *e)
{
    char looked[768] = "";
    size_t n = 0;
    for (int i = 0; i < p->n_models + p->n_hub && n < sizeof looked; i++)
        n += (size_t)snprintf(looked + n, sizeof looked - n, ", %s",
            i < p->n_models ? p->models[i] : p->hub[i - p->n_models]);
    return err_set(e, ERR_INPUT,
        "no model '%.200s': looked for a folder of that name%s%s; give a folder with config.json "
        "and model.safetensors ('sonde list models' names those that are here)",
        name, looked, p->n_models ? "" : " (SONDE_MODELS is not set)");
}

int hub_find(char out[HUB_PATH], const char *name, struct err *e)
{
    struct places p;
    if (!*name)
        return err_set(e, ERR_USAGE, "the model's name is empty");
    if (strlen(name) >= HUB_PATH - 64)
        return err_set(e, ERR_USAGE, "the model's name is too long");
    struct stat st;
    bool there = !stat(name, &st), path_like = name[0] == '/' || name[0] == '.';
    if (there && !S_ISDIR(st.st_mode) && path_like)
        return err_set(e, ERR_INPUT, "%s is a file; give the folder that it is in", name);
    if (there && S_ISDIR(st.st_mode) && (path_like || has_config(name))) {
        snprintf(out, HUB_PATH, "%s", name);
        return 0;
    }
    find_places(&p);
    if (find_named(out, &p, name))
        return 0;
    if (there && S_ISDIR(st.st_mode)) {
        snprintf(out, HUB_PATH, "%s", name);
        return 0;
    }
    if (there)
        return err_set(e, ERR_INPUT, "%s is a file; give the folder that it is in", name);
    return not_found(name, &p, e);
}

/* ---- listing ---- */

struct names {
    char **name, **path;
    size_t n, cap;
    struct arena arena;
};

static int add_name(struct names *l, const char *name, const char *path, struct err *e)
{
    for (size_t i = 0; i < l->n; i++)
        if (!strcmp(l->name[i], name))
            return 0;
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        char **a = arena_array(&l->arena, cap, sizeof *a, e);
        char **b = arena_array(&l->arena, cap, sizeof *b, e);
        if (!a || !b)
            return ERR_LIMIT;
        if (l->n) {
            memcpy(a, l->name, l->n * sizeof *a);
            memcpy(b, l->path, l->n * sizeof *b);
        }
        l->name = a;
        l->path = b;
        l->cap = cap;
    }
    l->name[l->n] = arena_strdup(&l->arena, name, e);
    l->path[l->n] = arena_strdup(&l->arena, path, e);
    if (!l->name[l->n] || !l->path[l->n])
        return ERR_LIMIT;
    l->n++;
    return 0;
}

/* Folders with a config.json under one place, and one level deeper (ORG/NAME). */
static int list_models(struct names *l, const char *place, const char *org, struct err *e)
{
    char folder[2 * HUB_PATH], path[3 * HUB_PATH], name[512];
    int rc = 0;
    snprintf(folder, sizeof folder, "%s%s%s", place, *org ? "/" : "", org);
    DIR *d = opendir(folder);
    for (struct dirent *f; !rc && d && (f = readdir(d));) {
        if (f->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, f->d_name);
        snprintf(name, sizeof name, "%.200s%s%s", org, *org ? "/" : "", f->d_name);
        if (strlen(path) >= HUB_PATH || !is_folder(path))
            continue;
        if (has_config(path))
            rc = add_name(l, name, path, e);
        else if (!*org)
            rc = list_models(l, place, f->d_name, e);
    }
    if (d)
        closedir(d);
    return rc;
}

static int list_hub(struct names *l, const char *hub, struct err *e)
{
    char repo[2 * HUB_PATH], snapshot[HUB_PATH], name[256];
    int rc = 0;
    DIR *d = opendir(hub);
    for (struct dirent *f; !rc && d && (f = readdir(d));) {
        if (strncmp(f->d_name, "models--", 8))
            continue;
        snprintf(repo, sizeof repo, "%s/%s", hub, f->d_name);
        if (strlen(repo) >= HUB_PATH || !find_snapshot(snapshot, repo, NULL) ||
            !has_config(snapshot))
            continue;
        snprintf(name, sizeof name, "%.255s", f->d_name + 8);
        char *dash = strstr(name, "--");
        if (dash) {
            *dash = '/';
            memmove(dash + 1, dash + 2, strlen(dash + 2) + 1);
        }
        rc = add_name(l, name, snapshot, e);
    }
    if (d)
        closedir(d);
    return rc;
}

int hub_list(void (*each)(void *arg, const char *name, const char *path), void *arg, struct err *e)
{
    struct places p;
    struct names l = {0};
    int rc = 0;
    find_places(&p);
    for (int i = 0; !rc && i < p.n_models; i++)
        rc = list_models(&l, p.models[i], "", e);
    for (int i = 0; !rc && i < p.n_hub; i++)
        rc = list_hub(&l, p.hub[i], e);
    /* Folders come in no order; names should. */
    for (size_t i = 1; i < l.n; i++)
        for (size_t k = i; k > 0 && strcmp(l.name[k - 1], l.name[k]) > 0; k--) {
            char *a = l.name[k], *b = l.path[k];
            l.name[k] = l.name[k - 1];
            l.path[k] = l.path[k - 1];
            l.name[k - 1] = a;
            l.path[k - 1] = b;
        }
    for (size_t i = 0; !rc && i < l.n; i++)
        each(arg, l.name[i], l.path[i]);
    arena_release(&l.arena);
    return rc;
}
