#include "model/core/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Cuts at n bytes without splitting a UTF-8 sequence, and makes control bytes harmless: messages may
 * quote hostile files and end up on a terminal. */
static void tidy(char *s, size_t n)
{
    size_t len = strnlen(s, n);
    if (len == n - 1) {
        size_t i = len;
        while (i > 0 && ((unsigned char)s[i - 1] & 0xc0) == 0x80)
            i--;
        if (i > 0 && (unsigned char)s[i - 1] >= 0xc0)
            s[i - 1] = '\0';
    }
    for (char *p = s; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = *p == '\n' || *p == '\t' ? ' ' : '?';
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
    if (!e)
        return code;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    tidy(e->msg, sizeof e->msg);
    e->code = code;
    return code;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
    char old[sizeof e->msg];
    memcpy(old, e->msg, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof e->msg)
        snprintf(e->msg + n, sizeof e->msg - (size_t)n, ": %s", old);
    tidy(e->msg, sizeof e->msg);
    return e->code;
}
