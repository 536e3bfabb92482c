#include "app/words.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One escape inside double quotes: writes its character and returns what stands behind it. */
static const char *escape(char **out, const char *at)
{
    static const char from[] = "ntr\"\\", to[] = "\n\t\r\"\\";
    const char *known = *at ? strchr(from, *at) : NULL;
    if (known) {
        *(*out)++ = to[known - from];
        return at + 1;
    }
    if (*at == 'x' && hex(at[1]) >= 0 && hex(at[2]) >= 0 && (hex(at[1]) || hex(at[2]))) {
        *(*out)++ = (char)(hex(at[1]) * 16 + hex(at[2]));
        return at + 3;
    }
    *(*out)++ = '\\';
    return at;
}

/* Copies one word; NULL if a quote stays open. */
static const char *copy_word(char **out, const char *at)
{
    char quote = 0;
    for (; *at && (quote || !is_blank(*at)); at++) {
        if (quote ? *at == quote : *at == '\'' || *at == '"') {
            quote = quote ? 0 : *at;
        } else if (*at == '\\' && quote == '"') {
            at = escape(out, at + 1) - 1;
        } else if (*at == '\\' && !quote && at[1]) {
            *(*out)++ = *++at;
        } else {
            *(*out)++ = *at;
        }
    }
    *(*out)++ = '\0';
    return quote ? NULL : at;
}

int words_split(char ***words, int *n, const char *line, struct arena *arena, struct err *e)
{
    size_t len = strlen(line);
    /* A word takes at least one character and the blank before it; it never grows. */
    char **list = arena_array(arena, len / 2 + 2, sizeof *list, e);
    char *text = arena_alloc(arena, len + 2, e);
    if (!list || !text)
        return ERR_LIMIT;
    *n = 0;
    for (const char *at = line;;) {
        while (is_blank(*at))
            at++;
        if (!*at || (*at == '#' && (!*n || !at[1] || is_blank(at[1]))))
            break;
        list[(*n)++] = text;
        at = copy_word(&text, at);
        if (!at)
            return err_set(e, ERR_USAGE, "a quote stays open: %.60s; close it", list[*n - 1]);
    }
    list[*n] = NULL;
    *words = list;
    return 0;
}

static bool is_plain(const char *word)
{
    static const char safe[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
    return *word && !word[strspn(word, safe)];
}

static bool has_control(const char *word)
{
    for (const char *c = word; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return true;
    return false;
}

const char *words_quote(const char *word, struct arena *arena, struct err *e)
{
    if (is_plain(word))
        return word;
    if (!strchr(word, '\'') && !has_control(word))
        return arena_printf(arena, e, "'%s'", word);
    char *out = arena_alloc(arena, 4 * strlen(word) + 3, e), *at = out;
    if (!out)
        return NULL;
    *at++ = '"';
    for (const char *c = word; *c; c++) {
        unsigned char u = (unsigned char)*c;
        if (u == '"' || u == '\\') {
            *at++ = '\\';
            *at++ = *c;
        } else if (u == '\n') {
            at += sprintf(at, "\\n");
        } else if (u == '\t') {
            at += sprintf(at, "\\t");
        } else if (u < 0x20 || u == 0x7f) {
            at += sprintf(at, "\\x%02x", u);
        } else {
            *at++ = *c;
        }
    }
    *at++ = '"';
    *at = '\0';
    return out;
}

const char *words_join(
    const char *first, char *const *words, int n, struct arena *arena, struct err *e)
{
    const char *line = first;
    for (int i = 0; i < n; i++) {
        const char *quoted = words_quote(words[i], arena, e);
        if (!quoted)
            return NULL;
        line = line ? arena_printf(arena, e, "%s %s", line, quoted) : quoted;
        if (!line)
            return NULL;
    }
    return line ? line : "";
}
