#include "model/core/regex.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* Backtracking steps of one search before it counts as exploded: about a second. */
#define STEPS 10000000
#define HEAP_KIB (64 * 1024)
#define JIT_STACK_MAX ((size_t)8 << 20)

struct regex {
    pcre2_code *code;
};

struct matcher {
    const struct regex *pattern;
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

int regex_compile(struct regex **out, const char *pattern, size_t n, unsigned flags, struct err *e)
{
    *out = NULL;
    uint32_t options = flags & REGEX_BYTES ? 0 : PCRE2_UTF | PCRE2_UCP;
    if (flags & REGEX_ICASE)
        options |= PCRE2_CASELESS;
    if (flags & REGEX_ANCHORED)
        options |= PCRE2_ANCHORED;
    if (flags & REGEX_LITERAL)
        options = (options & ~(uint32_t)PCRE2_UCP) | PCRE2_LITERAL;
    else
        options |= PCRE2_NEVER_BACKSLASH_C;
    if (flags & REGEX_ANY_BYTES && !(flags & REGEX_BYTES))
        options |= PCRE2_MATCH_INVALID_UTF;
    int code;
    PCRE2_SIZE at;
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)pattern, n, options, &code, &at, NULL);
    if (!re) {
        char why[160];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
        return err_set(e, ERR_USAGE, "regular expression '%.*s': %s at character %zu",
            n > 200 ? 200 : (int)n, pattern, why, (size_t)at);
    }
    /* Without executable memory the interpreter runs: slower, the same answers. */
    (void)pcre2_jit_compile(re, PCRE2_JIT_COMPLETE);
    *out = malloc(sizeof **out);
    if (!*out) {
        pcre2_code_free(re);
        return err_set(e, ERR_LIMIT, "out of memory (regular expression)");
    }
    (*out)->code = re;
    return 0;
}

void regex_release(struct regex **r)
{
    if (*r) {
        pcre2_code_free((*r)->code);
        free(*r);
        *r = NULL;
    }
}

void regex_version(char *out, size_t n)
{
    char unicode[24] = "", pcre[32] = "";
    pcre2_config(PCRE2_CONFIG_UNICODE_VERSION, unicode);
    pcre2_config(PCRE2_CONFIG_VERSION, pcre);
    snprintf(out, n, "PCRE2 %s, Unicode %s", pcre, unicode);
}

int matcher_create(struct matcher **out, const struct regex *r, struct err *e)
{
    struct matcher *m = calloc(1, sizeof *m);
    *out = m;
    if (m) {
        m->pattern = r;
        m->data = pcre2_match_data_create_from_pattern(r->code, NULL);
        m->context = pcre2_match_context_create(NULL);
        m->stack = pcre2_jit_stack_create(32 * 1024, JIT_STACK_MAX, NULL);
    }
    if (!m || !m->data || !m->context || !m->stack) {
        matcher_release(out);
        return err_set(e, ERR_LIMIT, "out of memory (regular expression)");
    }
    pcre2_set_match_limit(m->context, STEPS);
    pcre2_set_heap_limit(m->context, HEAP_KIB);
    pcre2_jit_stack_assign(m->context, NULL, m->stack);
    return 0;
}

void matcher_release(struct matcher **m)
{
    if (*m) {
        pcre2_match_data_free((*m)->data);
        pcre2_match_context_free((*m)->context);
        pcre2_jit_stack_free((*m)->stack);
        free(*m);
        *m = NULL;
    }
}

static int failed(int rc, const struct matcher *m, struct err *e)
{
    switch (rc) {
    case PCRE2_ERROR_MATCHLIMIT:
    case PCRE2_ERROR_DEPTHLIMIT:
    case PCRE2_ERROR_HEAPLIMIT:
    case PCRE2_ERROR_JIT_STACKLIMIT:
        return err_set(e, ERR_LIMIT,
            "the regular expression backtracks without end on this text; make it simpler "
            "(nested + and * are the usual cause)");
    default:
        break;
    }
    if (rc <= PCRE2_ERROR_UTF8_ERR1 && rc >= PCRE2_ERROR_UTF8_ERR21)
        return err_set(e, ERR_INPUT, "the text is not valid UTF-8 at byte %zu",
            (size_t)pcre2_get_startchar(m->data));
    char why[160];
    pcre2_get_error_message(rc, (PCRE2_UCHAR *)why, sizeof why);
    return err_set(e, ERR_INPUT, "regular expression: %s", why);
}

int regex_find(size_t *begin, size_t *end, struct matcher *m, const char *text, size_t n,
    size_t start, unsigned flags, struct err *e)
{
    uint32_t options = flags & REGEX_CHECKED ? PCRE2_NO_UTF_CHECK : 0;
    int rc =
        pcre2_match(m->pattern->code, (PCRE2_SPTR)text, n, start, options, m->data, m->context);
    if (rc == PCRE2_ERROR_NOMATCH)
        return 0;
    if (rc < 0)
        return failed(rc, m, e);
    const PCRE2_SIZE *o = pcre2_get_ovector_pointer(m->data);
    *begin = o[0];
    *end = o[1];
    return 1;
}
